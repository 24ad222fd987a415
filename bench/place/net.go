package place

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/penstock/penstock/netio"
	"golang.org/x/sys/unix"
)

const congestionFile = "/proc/sys/net/ipv4/tcp_congestion_control"

// Net is a network namespace with nothing but its loopback. It exists while it is open here, or used.
type Net struct{ file *os.File }

// OpenNet puts all parties into one new namespace, whose sockets use the given congestion control: how a
// sender is paced decides how big the pieces are that a relay gets, so that figures from machines with
// different settings could not be compared. Who may not make a namespace stays where it is (nil).
func OpenNet(congestion string, p *Placement) (*Net, error) {
	n := new(Net)
	err := onThread(func() error { return n.open(congestion) })
	if errors.Is(err, unix.EPERM) {
		was, err := os.ReadFile(congestionFile)
		p.TCP = "the machine's network, congestion control " + strings.TrimSpace(string(was))
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd())
	p.Client.Net, p.Proxy.Net, p.Server.Net = name, name, name
	p.TCP = "a network namespace of their own, congestion control " + congestion
	return n, nil
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with its namespace
		result <- f()
	}()
	return <-result
}

func (n *Net) open(congestion string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return &netio.OpError{Op: "make", Object: "network namespace", Err: err}
	}
	if err := loopbackUp(); err != nil {
		return &netio.OpError{Op: "bring up", Object: "loopback", Err: err}
	}
	if err := os.WriteFile(congestionFile, []byte(congestion), 0); err != nil {
		return fmt.Errorf("congestion control %q: %w", congestion, err)
	}
	var err error
	n.file, err = os.Open("/proc/thread-self/ns/net")
	return err
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// Close lets go of the namespace, which ends with its last socket and process.
func (n *Net) Close() error { return n.file.Close() }
