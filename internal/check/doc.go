// Package check finds out which servers work. It connects to each of them again and again, speaks as much of
// its protocol as the configuration asks for, counts successes and failures, and tells the backend when a server
// comes or goes, with the log lines of HAProxy.
//
// All checks run in one goroutine with an epoll instance of its own, the questions to agents too, and the programs of
// external checks are watched there. It never runs on a worker, and takes nothing
// from one but the slots that sessions hold. The package does not resolve names and does not read configuration
// files; it ends no session itself but asks for that.
package check
