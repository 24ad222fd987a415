// Package sched holds what an event loop needs to know what to do next and where to keep it: a
// cached clock, an elastic binary tree of timers, a run queue, slabs and a mailbox
// for work that comes from other goroutines. Everything but the mailbox belongs to one goroutine;
// nothing here allocates at steady state, and nothing that grows with the number of slots contains
// a pointer, so that the garbage collector has nothing to scan. It opens no descriptor, starts no
// goroutine and never sleeps: waiting is the loop's own business.
package sched
