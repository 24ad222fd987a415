// Package e2e tests the balancer's binary from outside: each test writes a haproxy.cfg, starts the
// program on it, and drives real clients and servers through it. It does not import the balancer's
// packages.
//
// The tests build ./cmd/penstock, with the race detector when they run under it themselves. With
// PENSTOCK_PROGRAM set to another program that takes HAProxy's command line, they drive that one
// instead, and skip what only Penstock does.
package e2e
