// Package testutil holds what the tests of several packages share: real servers started as child
// processes, peers that follow a script, a syslog receiver, free ports, waiting on conditions, and
// checks for leaked goroutines and descriptors. It is imported by tests only, and it knows nothing
// of the balancer's own packages.
package testutil
