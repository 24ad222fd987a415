// Package backend holds what the workers share about the servers of one backend: who may be used,
// how many connections each carries, who waits for a slot, and what was counted. It chooses a
// server for a session and hands the slots on. It does not open connections, keep time or know what
// a session is: a waiting one is a Waiter, three numbers that the worker understands.
//
// A session takes a slot with Assign (or Take, when the server is given), and gives it back with
// Release exactly once, whether the connection failed, ended or moves to another server. When all
// suitable slots are taken it enters a queue with Enqueue and gets its slot through the delivery
// function, unless it leaves the queue with Cancel before.
//
// Assign, Take and Release run on every connection of every worker. They take no lock unless
// somebody waits: the tables by which servers are chosen never change and are replaced as a whole,
// slots are counted by compare-and-swap, and a single atomic load tells that no queue exists.
package backend
