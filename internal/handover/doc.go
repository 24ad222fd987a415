// Package handover moves listeners and live sessions from one process, the giver, to another one, the
// taker, over a UNIX socket: the wire format and the two sides. It does not open listeners, does not freeze or
// run sessions and knows no configuration: what it hands over comes from an [Offer], what it takes goes to callbacks.
//
// # The conversation
//
// The giver listens on the abstract name penstock-handover-PID of its network namespace. Both ends ask the kernel who
// the other one is; only root and the own effective user are spoken to. There is one handover at a time.
//
//	taker                               giver
//	  │ HELLO ─────────────────────────>  │   versions, whether sessions are wanted
//	  │ <──────────── WELCOME (or REFUSE) │   version, generation, numbers, topology
//	  │ LISTENERS ─────────────────────>  │
//	  │ <──────────────────── SOCKETS ... │   + listening sockets; the last frame says so
//	  │                                   │
//	  │ opens what is new, workers accept │
//	  │ READY ─────────────────────────>  │   which sockets were taken
//	  │                                   │ stops accepting, keeps the sockets
//	  │ <────────────────────────── CLOSED│
//	  │                                   │
//	  │ <───────────────────────── BATCH  │   frozen sessions + their sockets and pipes
//	  │ ACK ───────────────────────────>  │   which ones are refused
//	  │ <──────────────────────── COMMIT  │
//	  │ makes them live                   │
//	  │ TAKEN ─────────────────────────>  │ forgets them; next BATCH
//	  │                                   │
//	  │ <───────────────────── KEEPALIVE  │   nothing can be moved for now
//	  │ <────────────────────────── DONE  │   nothing more will come; the giver leaves
//
// STATUS instead of HELLO asks how the giver's own take-over went, at any time.
//
// # Who owns a session
//
// The descriptors of a session are open in both processes from BATCH to TAKEN, and both know everything that is to be known. Two
// processes that read from one socket would tear its stream to pieces, none would let it hang. So at any moment exactly one of them
// may touch it, and each of them can always tell whether it is the one:
//
//	        BATCH sent           COMMIT written        TAKEN read
//	────────────┼───────────────────────┼───────────────────┼────────────
//	  giver     │  giver, while alive   │  who reads it,    │  taker
//	            │  and not heir-less    │  the taker        │
//
// Up to COMMIT the giver owns the session, but BATCH makes the taker its heir: it says until when (CLOCK_MONOTONIC,
// which both read). A giver that dies by then has left its sessions to the taker. A giver that lives and wants them
// back says REFUSE first, or waits for that moment to pass, or knows that the taker is gone. So it makes no difference what the
// giver did later, and when it died then.
//
// COMMIT gives the session away to whoever reads it. The giver writes nothing behind it, and the kernel tells a closed connection from
// one that was closed with bytes unread (ECONNRESET): in the second case the taker never knew of COMMIT, and the session
// stays. In the first one the taker may have moved bytes, so that the session is lost to the giver.
//
//	broken                       giver                     taker
//	before BATCH is complete     Restore                   has nothing
//	before COMMIT, giver lives   Restore                   closes its copies
//	before COMMIT, giver dies    -                         adopts
//	COMMIT written, not read     Restore                   closes its copies, or is dead
//	COMMIT read, no TAKEN        Lost                      adopts, or is dead
//	TAKEN read                   Commit                    has adopted
//
// Lost covers a taker that died between reading COMMIT and writing TAKEN, or that hung there for longer than the giver's patience. In the
// second case it still has the sessions. So the giver closes its copies, which ends nothing that anybody else holds, and never
// shuts them down.
//
// # What failure leads to
//
// Before READY the giver has changed nothing, and nothing has to be undone. Between READY and DONE a failure of any kind makes it
// accept again (Resume); sessions that were moved by then stay moved. Frames that do not belong, unknown types and versions that do
// not overlap are refused whole. Every wait ends, at the latest, after five seconds; only READY, before which nothing is frozen, has
// longer.
package handover
