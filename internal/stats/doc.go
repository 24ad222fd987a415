// Package stats gives the figures of the process the forms that programs read. It does not count.
package stats
