// Package steer chooses which worker gets a new connection, inside the kernel: an eBPF program takes the place
// of the hash by which SO_REUSEPORT spreads connections over the listeners of one address. It prefers
// the worker on the CPU that handled the SYN, unless a second, random one is lighter or the first hangs. What it
// knows of the workers they write into memory that the kernel reads.
//
// The program also decides where connections go that nobody accepted when their listener closes, so that a
// process can follow another one without losing any: the successor opens listeners of its own, fills an array
// with them and attaches its program, which is the moment from which all new connections are its own;
// the predecessor closes, and what waited in its queues moves. When the successor dies first, its
// listeners vanish, the program finds nothing to choose, and the hash serves the predecessor's again, queued
// connections included.
//
// It needs Linux 5.14 and, for loading only, CAP_BPF. The package neither opens nor closes listeners, and it
// does not accept. [Probe] says whether and why not.
package steer
