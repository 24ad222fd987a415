package main

import (
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/internal/handover"
	"github.com/penstock/penstock/internal/logging"
	"github.com/penstock/penstock/internal/session"
)

// offer is what this process lets a younger one take over. It can be found before it serves, because a younger
// process that is root trusts only a name that root took; whoever is that early waits.
type offer struct {
	balancer *balancer
	giver    *handover.Giver
	serving  chan struct{} // closed when the engine runs
	once     sync.Once

	given, lost atomic.Uint64 // sessions

	taken []bool // which listeners the successor accepts from; of the handover's goroutine
}

// newOffer makes the process known. Without it a younger process falls back to signals, so a failure is only said.
func newOffer(b *balancer) *offer {
	o := &offer{balancer: b, serving: make(chan struct{})}
	var err error
	o.giver, err = handover.Serve(handover.Offer{
		Generation: b.succession.status.Generation, // known by now
		Sessions:   !b.cfg.Global.NoSessionHandover,
		Count:      b.engine.Sessions,
		Listeners:  o.listeners,
		Topology:   b.engine.Topology,
		Drain:      o.drain,
		Resume:     b.engine.AcceptAgain,
		Finish:     o.finish,
		Next:       b.engine.Freeze,
		Commit:     o.commit,
		Restore:    b.engine.Restore,
		Lost:       o.lose,
		Status:     b.succession.text,
	}, func(format string, args ...any) { b.event(logging.LevelNotice, format, args...) })
	if err != nil {
		b.report.Warningf("A reload will move no sessions: %v.", err)
	}
	return o
}

// begin lets those in who came before the engine ran.
func (o *offer) begin() { o.once.Do(func() { close(o.serving) }) }

// listeners lists copies of the listening sockets.
func (o *offer) listeners() []handover.Socket {
	<-o.serving
	list, err := o.balancer.engine.Listeners()
	if err != nil {
		o.balancer.event(logging.LevelErr, "Listeners cannot be handed over: %v.", err)
		return nil
	}
	var out []handover.Socket
	for _, l := range list {
		out = append(out, handover.Socket{
			FD: l.FD, Proxy: l.Proxy, Bind: l.Bind, Addr: l.Addr, Path: l.Path, Interface: l.Interface,
			Index: l.Worker, Shared: l.Worker < 0,
		})
	}
	if len(out) == 0 {
		return nil // it is ending
	}
	for _, s := range o.balancer.api.Sockets() {
		out = append(out, handover.Socket{FD: s.FD, Interface: s.Interface, Index: -1})
	}
	return out
}

func (o *offer) drain(taken []bool) error {
	o.taken = taken
	o.balancer.engine.Offer()
	o.balancer.engine.StopAccepting(taken)
	return nil
}

func (o *offer) commit(batch []session.Snapshot) {
	o.given.Add(uint64(len(batch)))
	o.balancer.engine.Commit(batch)
}

func (o *offer) lose(batch []session.Snapshot) {
	o.lost.Add(uint64(len(batch)))
	o.balancer.engine.Lose(batch)
}

func (o *offer) finish() {
	o.balancer.engine.DrainListeners(o.taken)
	close(o.balancer.succeeded)
}

// close ends the offer. A handover that is under way is broken.
func (o *offer) close() {
	o.begin()
	if o.giver != nil {
		o.giver.Close()
	}
}
