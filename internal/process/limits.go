package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// MinMaxConn is the least number of connections that a computation settles for.
const MinMaxConn = 100

// DefaultFDHardLimit bounds the computation of the number of connections when nothing is configured.
const DefaultFDHardLimit = 1 << 20

// PipesUnknown as a number of pipes stands for one pipe on every fourth connection.
const PipesUnknown = -1

// FDBudget is what the descriptors of the process are spent on. A connection takes two; what is
// counted here is the rest.
type FDBudget struct {
	Limit     int // descriptors that the process may have
	HardLimit int // configured bound of Limit; 0: DefaultFDHardLimit
	Threads   int // each has an epoll instance, a wake-up descriptor and one in reserve
	Fixed     int // listeners, checks, log targets, standard streams
	Pipes     int // pipes to transfer data in, two descriptors each; 0: none; PipesUnknown
}

// perThread is the number of descriptors that a thread takes for itself.
const perThread = 3

func (b FDBudget) reserve() int { return b.Fixed + perThread*b.Threads }

// MaxConn is the number of connections that the limit allows.
func (b FDBudget) MaxConn() int {
	hard := b.HardLimit
	if hard <= 0 {
		hard = DefaultFDHardLimit
	}
	remain := min(b.Limit, hard) - b.reserve()
	if b.Pipes == PipesUnknown {
		return max(2*remain/5, MinMaxConn)
	}
	if 2*b.Pipes < remain { // pipes are a convenience and do not take the last descriptors
		remain -= 2 * b.Pipes
	}
	return max(remain/2, MinMaxConn)
}

// MaxSock is the number of descriptors that maxConn connections need.
func (b FDBudget) MaxSock(maxConn int) int {
	pipes := b.Pipes
	if pipes == PipesUnknown {
		pipes = maxConn / 4
	}
	return 2*maxConn + 2*pipes + b.reserve()
}

// ConnForMemory is the number of connections that fit into a memory limit of megabytes when each may
// hold two buffers of bufSize bytes.
func ConnForMemory(megabytes, bufSize int) int {
	const (
		overhead = 1 << 10 // descriptors, session state and kernel objects of one connection
		share    = 80      // percent: the rest is for the program itself
	)
	perConn := 2*bufSize + overhead
	return max(int(min(int64(megabytes), 1<<30)<<20*share/100/int64(perConn)), 1)
}

// OpenFileLimit is the larger one of the soft and the hard limit of open files: what the process can
// raise itself to.
func OpenFileLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read limit of open files: %w", err)
	}
	return int(min(max(limit.Cur, limit.Max), 1<<31-1)), nil
}

// RaiseOpenFileLimit makes n files possible, raising the hard limit too where that is needed and
// allowed. A limit that is higher already stays. It returns the limit that is in force then; with an
// error it is less than n.
func RaiseOpenFileLimit(n int) (int, error) {
	return setOpenFileLimit(n, false)
}

// SetOpenFileLimit is RaiseOpenFileLimit for a limit that was asked for by number: it also lowers.
func SetOpenFileLimit(n int) (int, error) {
	return setOpenFileLimit(n, true)
}

func setOpenFileLimit(n int, lower bool) (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read limit of open files: %w", err)
	}
	want := uint64(max(n, 0))
	if limit.Cur == want || limit.Cur > want && !lower {
		return int(min(limit.Cur, 1<<31-1)), nil
	}
	wanted := unix.Rlimit{Cur: want, Max: max(limit.Max, want)}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &wanted)
	if err == nil {
		return n, nil
	}
	best := unix.Rlimit{Cur: min(want, limit.Max), Max: limit.Max}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &best) != nil {
		best = limit
	}
	return int(min(best.Cur, 1<<31-1)), fmt.Errorf("set limit of open files to %d: %w", n, err)
}
