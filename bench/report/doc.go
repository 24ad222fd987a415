// Package report turns samples of a benchmark into statistics, a Markdown table and JSON. It does not
// measure, and it judges nothing: ratios are printed, not passed or failed.
package report
