// Package master is the process that keeps workers: it starts them, replaces them at a reload, passes signals
// on, and ends when the last one has ended. It serves no connection itself but those of its command line. How a
// new worker takes over from the old one is the workers' matter.
package master
