package admin

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/internal/engine"
	"github.com/penstock/penstock/internal/runtimeapi"
	"github.com/penstock/penstock/internal/session"
)

// filter is what a session must be to be meant; zero values say nothing.
type filter struct {
	frontend, backend, server string // server: of the backend
	client                    netip.Prefix
	older, idle               time.Duration
	worker                    int // from 1
	state                     string
	suspicious                bool

	conditions int
}

// filterWords are the conditions that read knows, for help.
const filterWords = "server <b>/<s>, backend <b>, frontend <f>, client <network>, older <age>, idle <time>, worker <n>, state <state>, susp"

// read takes one condition from the front of the arguments and returns the rest. known is false when they begin with
// something else. An error is in the operator's terms.
func (f *filter) read(e *engine.Engine, args []string) (rest []string, known bool, err error) {
	word := args[0]
	if word == "susp" {
		f.suspicious = true
		f.conditions++
		return args[1:], true, nil
	}
	set := map[string]func(*engine.Engine, string) error{
		"server": f.setServer, "backend": f.setBackend, "frontend": f.setFrontend, "client": f.setClient,
		"older": f.setOlder, "idle": f.setIdle, "worker": f.setWorker, "state": f.setState,
	}[word]
	if set == nil {
		return args, false, nil
	}
	value := ""
	rest = args[1:]
	if len(rest) > 0 {
		value, rest = rest[0], rest[1:]
	}
	f.conditions++
	return rest, true, set(e, value)
}

func (f *filter) setServer(e *engine.Engine, value string) (err error) {
	f.backend, f.server, err = findServer(e, value)
	return err
}

// refusal is an answer that programs read, with its full stop.
type refusal string

func (r refusal) Error() string { return string(r) }

// findServer returns the names of the backend and the server that an operator calls by b/s.
func findServer(e *engine.Engine, ref string) (backend, server string, err error) {
	b, s, ok := strings.Cut(ref, "/")
	if !ok {
		return "", "", refusal("Require 'backend/server'.")
	}
	if backend, ok = e.ProxyName(b, false); !ok {
		return "", "", refusal(noBackend)
	}
	if server, ok = e.ServerName(backend, s); !ok {
		return "", "", refusal(noServer)
	}
	return backend, server, nil
}

func (f *filter) setBackend(e *engine.Engine, value string) error {
	name, ok := e.ProxyName(value, false)
	if !ok {
		return refusal(noBackend)
	}
	f.backend = name
	return nil
}

func (f *filter) setFrontend(e *engine.Engine, value string) error {
	name, ok := e.ProxyName(value, true)
	if !ok {
		return refusal(noFrontend)
	}
	f.frontend = name
	return nil
}

func (f *filter) setClient(_ *engine.Engine, value string) error {
	if addr, err := netip.ParseAddr(value); err == nil {
		f.client = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return nil
	}
	network, err := netip.ParsePrefix(value)
	if err != nil {
		return refusal(fmt.Sprintf("'client' expects an address or a network such as 10.0.0.0/8, not '%s'.", value))
	}
	f.client = network.Masked()
	return nil
}

func (f *filter) setOlder(_ *engine.Engine, value string) (err error) {
	f.older, err = age("older", value)
	return err
}

func (f *filter) setIdle(_ *engine.Engine, value string) (err error) {
	f.idle, err = age("idle", value)
	return err
}

func (f *filter) setWorker(e *engine.Engine, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return refusal(fmt.Sprintf("'worker' expects the number of a worker, from 1, not '%s'.", value))
	}
	f.worker = n
	return nil
}

// states are those of session.View.
const states = "queued, connecting, turnaround, relay, leaving"

func (f *filter) setState(_ *engine.Engine, value string) error {
	for known := range strings.SplitSeq(states, ", ") {
		if value == known {
			f.state = value
			return nil
		}
	}
	return refusal(fmt.Sprintf("'state' expects one of %s, not '%s'.", states, value))
}

// age reads a time whose unit is the second when it has none.
func age(word, value string) (time.Duration, error) {
	d, ok := runtimeapi.Delay(value, time.Second)
	if !ok {
		return 0, refusal(fmt.Sprintf("'%s' expects a time such as 30, 5m or 2h, not '%s'.", word, value))
	}
	return d, nil
}

// suspiciousMs is how long a session may live before susp finds it strange that it has no server, or only one
// side that still speaks.
const suspiciousMs = 5000

func (f *filter) match(v *session.View) bool {
	switch {
	case f.frontend != "" && v.Frontend != f.frontend,
		f.backend != "" && v.Backend != f.backend,
		f.server != "" && v.Server != f.server,
		f.worker > 0 && v.Worker != f.worker-1,
		f.state != "" && v.State != f.state,
		f.client.IsValid() && !f.client.Contains(v.Peer.AddrPort().Addr().Unmap()),
		v.AgeMs < f.older.Milliseconds(),
		v.IdleMs < f.idle.Milliseconds():
		return false
	case f.suspicious:
		halfOpen := v.Up.Done || v.Down.Done
		return v.AgeMs >= suspiciousMs && (v.State != "relay" || halfOpen || v.Client.Blocked || v.Far.Blocked || v.Term != "")
	}
	return true
}
