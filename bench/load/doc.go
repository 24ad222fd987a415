// Package load is the traffic of the benchmark: a client and a server on raw epoll, which cost less than
// the proxy between them. It does not start proxies and does not judge what it measures.
//
// A [Rig] owns the two ends. Each end is a [Loop], one pinned thread; where both share a CPU they share
// the loop too, so that the machine does not spend its time switching between them. Every byte that
// comes back is known beforehand, and a wrong one is an error, not a statistic.
package load
