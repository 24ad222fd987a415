// Package statefile reads and writes what "show servers state" shows: the states of all servers, as HAProxy's version
// 1 of the server state file has them. It does not know what the numbers mean beyond their ranges.
package statefile
