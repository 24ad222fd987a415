// Package reload does the same reloads to several proxies under live sessions, and tells what clients noticed
// and what stayed behind. Its sessions and their checks are those of the tests. It does not judge.
package reload
