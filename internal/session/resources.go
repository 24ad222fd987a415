package session

import (
	"reflect"

	"github.com/penstock/penstock/netio"
)

// Resources is what a table holds and what its worker did.
type Resources struct {
	Worker               int
	Rounds               uint32 // of the loop; begins again after 2^32
	Runnable             int    // sessions that have something to do at once
	Timers               int
	BytesOut, SplicedOut uint64

	Sessions, SessionSlots, SessionBytes int // alive, places for them, size of one
	Buffers, BuffersUsed, BufferBytes    int
	Pipes, PipesUsed, PipeBytes          int // memory of the kernel
}

var sessionBytes = int(reflect.TypeFor[Session]().Size())

// Resources counts what the table holds.
func (t *Table) Resources() Resources {
	return Resources{
		Worker: int(t.Worker), Rounds: t.round, Runnable: t.ready.Len(), Timers: t.timers.Len(),
		BytesOut: t.bytesOut.Load(), SplicedOut: t.splicedOut.Load(),
		Sessions: t.slots.Live(), SessionSlots: int(t.slots.Cap()), SessionBytes: sessionBytes,
		Buffers: len(t.bufs.all), BuffersUsed: len(t.bufs.all) - len(t.bufs.free), BufferBytes: t.bufs.size,
		Pipes: t.pipes.Lent() + t.pipes.Idle(), PipesUsed: t.pipes.Lent(), PipeBytes: t.pipes.Size(),
	}
}

// ListenerView is a listener as operators see it.
type ListenerView struct {
	Worker, FD int
	Frontend   string
	Name       string // of the bind line, "" for none
	ID         int
	Addr       netio.Addr
}

// ListenerViews are the listeners that the table was built with; some may be closed meanwhile.
func (t *Table) ListenerViews(out []ListenerView) []ListenerView {
	for _, l := range t.Listeners {
		out = append(out, ListenerView{int(t.Worker), l.FD, t.Proxies[l.Proxy].Name, l.Name, l.ID, l.Addr})
	}
	return out
}
