package main

import (
	"net"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/process"
	"github.com/penstock/penstock/netio"
)

// noSockets is the address that scripts give when there is no old process.
const noSockets = "/dev/null"

// fetchSockets gets the listeners of the old process, when -x names one. Without them the new process opens
// its own.
func (b *balancer) fetchSockets() []engine.Inherited {
	from := b.settings.Sockets
	if from == "" || from == noSockets {
		return nil
	}
	sockets, err := process.FetchSockets(from)
	if err != nil {
		b.report.Warningf("%v", err)
	}
	var inherited []engine.Inherited
	for _, s := range sockets {
		inherited = append(inherited, engine.Inherited{FD: s.FD, Netns: s.Netns, Index: -1})
	}
	return inherited
}

// passSockets gives all listening sockets to the client of a stats socket, which means to replace this process.
func (b *balancer) passSockets(conn *net.UnixConn) error {
	var sockets []process.PassedSocket
	defer func() {
		for _, s := range sockets {
			netio.Close(s.FD)
		}
	}()
	listeners, err := b.engine.Listeners()
	if err != nil {
		return err
	}
	for _, l := range listeners {
		sockets = append(sockets, process.PassedSocket{FD: l.FD, Interface: l.Interface})
	}
	if len(listeners) > 0 {
		for _, s := range b.api.Sockets() {
			sockets = append(sockets, process.PassedSocket{FD: s.FD, Interface: s.Interface})
		}
	}
	return process.SendSockets(conn, sockets)
}
