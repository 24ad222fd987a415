package engine

import (
	"slices"

	"github.com/penstock/penstock/netio"
)

// Inherited is a listening socket that another process opened and handed over. Where it is bound, and to
// which interface, is asked of the kernel.
type Inherited struct {
	FD    int
	Netns string // name of its network namespace, empty for that of the process
	Index int    // of the worker that it belonged to, -1: unknown
}

// inheritance is what another process handed over. Each socket belongs to it until a worker takes it.
type inheritance struct {
	all    []Inherited
	bound  []netio.Bound
	usable []bool
	taken  []bool
}

// newInheritance looks at the sockets. What nobody here can use will be closed with the rest.
func newInheritance(all []Inherited) inheritance {
	h := inheritance{
		all:    all,
		bound:  make([]netio.Bound, len(all)),
		usable: make([]bool, len(all)),
		taken:  make([]bool, len(all)),
	}
	for i := range all {
		var err error
		h.bound[i], err = netio.Examine(all[i].FD)
		twice := slices.ContainsFunc(all[:i], func(before Inherited) bool { return before.FD == all[i].FD })
		// Nothing here is in a namespace by name, so a socket that is belongs to nobody.
		h.usable[i] = err == nil && !twice && all[i].Netns == ""
	}
	return h
}

// find lists the sockets of an address that nobody has taken yet, in the order in which they came.
func (h *inheritance) find(o *opening) []int {
	var found []int
	for i := range h.all {
		if h.usable[i] && !h.taken[i] && h.bound[i].Serves(&o.sa, o.path, &o.options) {
			found = append(found, i)
		}
	}
	return found
}

// closeRest closes what nobody took. A number that appears twice is one descriptor.
func (h *inheritance) closeRest() {
	var kept, closed []int
	for i := range h.all {
		if h.taken[i] {
			kept = append(kept, h.all[i].FD)
		}
	}
	for i := range h.all {
		fd := h.all[i].FD
		if !h.taken[i] && !slices.Contains(kept, fd) && !slices.Contains(closed, fd) {
			netio.Close(fd)
			closed = append(closed, fd)
		}
	}
}

// Taken tells for each of Options.Inherited whether a bind line uses it. The others are closed.
func (e *Engine) Taken() []bool { return slices.Clone(e.handed.taken) }

// Opened is the number of listening sockets that were not inherited.
func (e *Engine) Opened() int {
	n := len(e.sockets)
	for _, taken := range e.handed.taken {
		if taken {
			n--
		}
	}
	return max(n, 0)
}
