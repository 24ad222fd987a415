// Package worker is the loop: one locked and pinned thread with its epoll instance, its listeners, its
// timers and its table of sessions. It does not know what a session does with an event, nor how
// listeners are opened.
package worker
