// Package logging turns a finished session into a log line and brings lines to their targets: it
// compiles log formats, writes syslog headers, and sends to UDP and UNIX datagram sockets and to
// descriptors such as stdout. It does not decide what is logged or when, and it never makes a worker
// wait: a line that cannot be handed over at once is dropped and counted.
//
// A worker owns one [Scratch]. For a session that ends it fills the Scratch's [Record], renders it with
// the [Format] of the frontend, and gives the line to the [Logger] of the proxy:
//
//	r := &scratch.Record
//	r.Reset()
//	r.ClientAddr, r.FrontendName = …
//	scratch.Line = format.Append(scratch.Line[:0], r)
//	logger.Send(scratch, logging.LevelInfo, nowNs, scratch.Line)
//
// None of these steps allocates.
package logging
