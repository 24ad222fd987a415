package steer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

//go:generate ../../scripts/generate-bpf

// Limits of the program.
const (
	maxListeners = 1024 // of one address
	maxCPUs      = 1024 // a CPU with a higher number counts as nobody's
)

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL: every CPU has passed through the scheduler when the call returns.
const membarrierGlobal = 1

// Listener is one listening socket and the worker that accepts from it. The package uses the descriptor until
// [Steering.Release] and never closes it.
type Listener struct {
	FD     int
	Worker int
}

// Steering is the kernel's view of the workers of one process, and a program for each address that they
// listen to. Its methods must not be called at the same time; each [Slot] belongs to its worker.
//
//	Load ──> Slot for each worker ──> Add ──> Attach ──> ... ──> Release ──> Close
//	                                            ^    │
//	                                            └────┘ when listeners were missing, or were paused
type Steering struct {
	spec  *ebpf.CollectionSpec
	cpus  []int
	slots *slots
	sets  []*set
}

// set is what one address has: the kernel runs one program for each group of listeners, and can only choose
// within the group.
type set struct {
	listeners []Listener
	program   *ebpf.Program
	sockets   *ebpf.Map // by place in listeners
	complete  bool      // all listeners are in the array, as far as known
	attached  bool
}

// Load prepares steering for the given workers: cpus holds the CPU that each is pinned to, -1 for none.
// The error says what is missing: a privilege (CAP_BPF) or a newer kernel (5.14).
func Load(cpus []int) (s *Steering, err error) {
	spec, err := loadProgram()
	if err != nil {
		return nil, fmt.Errorf("read steering program: %w", err)
	}
	spec.Maps["slots"].MaxEntries = uint32(len(cpus))
	s = &Steering{spec: spec, cpus: cpus}
	if s.slots, err = newSlots(spec.Maps["slots"]); err != nil {
		return nil, explain(err)
	}
	// One without listeners shows now whether the others can be loaded.
	trial, err := s.load(nil)
	if err == nil {
		err = closeSets([]*set{trial})
	}
	if err != nil {
		return nil, errors.Join(err, s.slots.close())
	}
	return s, nil
}

// Slot returns where a worker shows its state. monoNs is the time now by the clock that the worker will use.
func (s *Steering) Slot(worker int, monoNs int64) *Slot {
	return &Slot{at: s.slots.at(worker), offsetNs: monotonicNs() - monoNs}
}

// Add loads a program for each address among the listeners and puts them within its reach. The listeners must
// be listening. Those that share no address with SO_REUSEPORT are left out; added counts the others. Nothing
// changes for connections before [Steering.Attach]. On error nothing is added.
func (s *Steering) Add(listeners []Listener) (added int, err error) {
	groups, err := groupsOf(listeners)
	if err != nil {
		return 0, err
	}
	before := len(s.sets)
	defer func() {
		if err != nil {
			err = errors.Join(err, closeSets(s.sets[before:]))
			s.sets = s.sets[:before]
		}
	}()
	for _, group := range groups {
		x, err := s.load(group)
		if err != nil {
			return 0, err
		}
		s.sets = append(s.sets, x)
		if _, _, err := x.fill(); err != nil {
			return 0, err
		}
		added += len(group)
	}
	return added, nil
}

// load makes the program of one address.
func (s *Steering) load(listeners []Listener) (*set, error) {
	if len(listeners) > maxListeners {
		return nil, fmt.Errorf("load steering program: %d listeners of one address, at most %d can be steered", len(listeners), maxListeners)
	}
	var workerOf [maxListeners]uint16
	var listenerOn [maxCPUs]uint16
	for i, l := range listeners {
		if l.Worker < 0 || l.Worker >= len(s.cpus) {
			return nil, fmt.Errorf("load steering program: listener of worker %d, of %d", l.Worker, len(s.cpus))
		}
		workerOf[i] = uint16(l.Worker)
		if cpu := s.cpus[l.Worker]; cpu >= 0 && cpu < maxCPUs && listenerOn[cpu] == 0 {
			listenerOn[cpu] = uint16(i + 1)
		}
	}
	spec := s.spec.Copy()
	spec.Maps["sockets"].MaxEntries = uint32(max(len(listeners), 1))
	for name, value := range map[string]any{"count": uint32(len(listeners)), "worker_of": workerOf, "listener_on": listenerOn} {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, fmt.Errorf("load steering program: %w", err)
		}
	}
	var loaded struct {
		Choose  *ebpf.Program `ebpf:"choose"`
		Sockets *ebpf.Map     `ebpf:"sockets"`
	}
	options := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{"slots": s.slots.shared}}
	if err := spec.LoadAndAssign(&loaded, &options); err != nil {
		return nil, explain(err)
	}
	return &set{listeners: listeners, program: loaded.Choose, sockets: loaded.Sockets}, nil
}

// Attach makes the programs choose from now on: new connections go to these listeners only, whatever others
// the address has. Workers must be accepting by then. When it returns, no CPU runs what chose before.
//
// An address some of whose listeners are missing (paused, or still in the array of the process that they were
// inherited from) keeps its way of choosing, unless force is set: then those that are there are chosen from, and
// the hash serves when there are none. missing is their number; call again later. Nothing is done for an
// address that is complete and attached.
func (s *Steering) Attach(force bool) (missing int, err error) {
	switched := false
	for _, x := range s.sets {
		var filled, absent int
		// Before Linux 5.19 a process without CAP_BPF may attach, but not look into its own array.
		if x.attached || !x.complete {
			if filled, absent, err = x.fill(); err != nil {
				return missing, err
			}
		}
		missing += absent
		if absent > 0 && !force || x.attached && filled == 0 {
			continue
		}
		fd, ok := x.listening()
		if !ok {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, x.program.FD()); err != nil {
			return missing, fmt.Errorf("attach steering program: %w", err)
		}
		x.attached, switched = true, true
	}
	if switched {
		// Where the call is not available, a SYN that is being handled right now may still go the old way.
		// It is not lost by that: it moves when its listener closes.
		_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
	}
	return missing, nil
}

// fill puts listeners into the array that are not in it. Those that cannot be in it now are counted as absent.
func (x *set) fill() (filled, absent int, err error) {
	for i, l := range x.listeners {
		err := x.sockets.Update(uint32(i), uint64(l.FD), ebpf.UpdateNoExist)
		switch {
		case err == nil:
			filled++
		case errors.Is(err, ebpf.ErrKeyExist):
		case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINVAL): // in another array; not listening
			absent++
		default:
			return filled, absent, fmt.Errorf("steer to listener: %w", err)
		}
	}
	x.complete = absent == 0
	return filled, absent, nil
}

// listening finds a listener to attach by. One that is paused would found a group of its own, which keeps it
// from ever listening again.
func (x *set) listening() (fd int, ok bool) {
	for _, l := range x.listeners {
		if v, err := unix.GetsockoptInt(l.FD, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && v == 1 {
			return l.FD, true
		}
	}
	return -1, false
}

// Release takes the listeners out of the arrays, so that a process that has inherited them can put them into
// its own. Programs that are still attached choose by hash from then on. Call it when the listeners are closed
// here; slots stay usable.
func (s *Steering) Release() error {
	err := closeSets(s.sets)
	s.sets = nil
	return err
}

func closeSets(sets []*set) error {
	var all []error
	for _, x := range sets {
		for i := range x.listeners {
			if err := x.sockets.Delete(uint32(i)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				all = append(all, fmt.Errorf("release listener: %w", err))
			}
		}
		all = append(all, x.program.Close(), x.sockets.Close())
	}
	return errors.Join(all...)
}

// Close releases everything. The workers must have ended: their slots are gone.
func (s *Steering) Close() error {
	return errors.Join(s.Release(), s.slots.close())
}
