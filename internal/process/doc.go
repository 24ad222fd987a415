// Package process holds what a daemon owes to the system around it: signals, the pid file, the way
// into the background, limits, and giving up privileges. It does not know what the process does.
package process
