// Package process holds what a daemon owes to the system around it: signals, the pid file, the way
// into the background, limits, giving up privileges, and the processes of a master. It does not know what
// any of them does.
package process
