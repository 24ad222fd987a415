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
// The descriptors of a session are open in both processes from BATCH to TAKEN, and both know everything that there is to
// know. Two processes that read from one socket would tear its stream to pieces; none would let it hang. So at any
// moment one of them, and only one, may touch it, and each can tell whether it is the one:
//
//	      BATCH sent             COMMIT written   COMMIT read             TAKEN read
//	──────────┼─────────────────────────┼──────────────┼───────────────────────┼─────────
//	  giver   │ giver, taker is heir    │  nobody yet  │ taker                 │ taker
//
// Up to COMMIT the giver owns the session, but the taker is its heir: BATCH names a moment (of CLOCK_MONOTONIC, which both
// read), and when the giver dies before it, the taker adopts. The giver touches nothing of its batch as long as
// the taker could inherit. To take sessions back it says REFUSE, or knows that the taker is gone, or waits for
// that moment to pass. So it makes no difference what it did with them later, and when it died then.
//
// COMMIT gives the session away to whoever reads it. The giver writes nothing behind it, and the kernel tells a connection that was
// closed from one that was closed with bytes unread (ECONNRESET). In the second case the taker never knew of COMMIT, and the
// giver goes on. In the first one the taker may have moved bytes, and the giver has lost the session.
//
//	broken                       giver                     taker
//	before BATCH is complete     Restore                   has nothing
//	before COMMIT, giver lives   Restore                   closes its copies
//	before COMMIT, giver dies    -                         adopts
//	COMMIT never read            Restore                   closed its copies, or is dead
//	COMMIT read, no TAKEN        Lost                      adopts, or is dead
//	no TAKEN in time             Lost                      adopts when it goes on, or dies
//	TAKEN read                   Commit                    has adopted
//
// In the cases of Lost the taker may have the sessions. So the giver closes its copies, which ends nothing that anybody else holds, and
// never shuts them down.
//
// The pictures of the two sides stand above the types giving and [Taker].
//
// # What failure leads to
//
// Before READY the giver has changed nothing, and nothing has to be undone. Between READY and DONE a failure of any kind makes it
// accept again (Resume); sessions that were moved by then stay moved. Frames that do not belong, unknown types and versions that do
// not overlap are refused whole. Every wait ends, at the latest, after five seconds; only READY, before which nothing is frozen, has
// longer.
package handover
