// Package live loads a relay with sessions that live long and know every byte they are to get.
//
// A [Load] is a server and the clients of it, in one process; what lies between them is what is
// tested: a balancer that is reloaded, replaced, or killed meanwhile. Half of a typical [Mix] streams
// both ways, the other half asks and waits for answers; some rest, some are half-closed, some
// have a reader that does not read, so that all buffers between the ends are full. Whatever
// arrives is compared with what must arrive, at its position, at both ends. A byte that is lost, doubled, out
// of order or of another session is found, and told where it comes from. A [Storm] opens
// short connections at a bounded rate besides.
//
// Rates, sizes and counts are bounded by the caller; nothing here judges by time, but a session that
// stands still for [Guard] counts as stuck.
//
// It uses plain connections of package net and knows nothing of the balancer. Tests use it, and the
// benchmark's comparison of reloads.
package live
