// Package netio is sockets for an event loop: epoll, accept and connect, socket options, addresses,
// splice pipes, eventfds and CPU affinity, as thin calls on plain descriptors; and what two processes need to
// hand descriptors to each other. It does not own a loop, does not know sessions, and in what a loop calls it
// never blocks except in [Epoll.Wait], and allocates nothing after set-up.
//
// Calls that a loop makes for every event go through RawSyscall: they are non-blocking, and a raw call
// cannot lose the goroutine's P to the scheduler. Only [Epoll.Wait] tells the scheduler that it blocks.
// Hot calls return a bare [Errno], zero meaning success; set-up calls return wrapped errors.
package netio
