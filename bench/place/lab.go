package place

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Lab is three network namespaces joined by veth, made by a script that takes them down when its
// standard input ends: even a harness that is killed leaves nothing behind.
type Lab struct {
	cmd   *exec.Cmd
	input io.Closer
}

// ErrNoLab says that this machine or user cannot have a lab.
var ErrNoLab = errors.New("no lab")

// OpenLab runs the script, with the congestion control of its sockets, and moves the parties of p into the namespaces that it prints, a line "party
// file address" each.
func OpenLab(script, congestion string, p *Placement) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: network namespaces need root", ErrNoLab)
	}
	l := &Lab{cmd: exec.Command(script, congestion)}
	var said strings.Builder
	l.cmd.Stderr = &said
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C reaches it through Close
	var err error
	if l.input, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLab, err)
	}
	if err := p.join(output); err != nil {
		l.Close()
		return nil, fmt.Errorf("%w: %w: %s", ErrNoLab, err, strings.TrimSpace(said.String()))
	}
	p.TCP = "three network namespaces joined by veth, congestion control " + congestion
	return l, nil
}

// join reads the parties' places, up to the line "ready".
func (p *Placement) join(r io.Reader) error {
	parties := map[string]*Party{"client": &p.Client, "proxy": &p.Proxy, "server": &p.Server}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 1 && f[0] == "ready" {
			if len(parties) > 0 {
				return fmt.Errorf("%d parties have no place", len(parties))
			}
			return nil
		}
		if len(f) != 3 || parties[f[0]] == nil {
			return fmt.Errorf("the lab says %q", lines.Text())
		}
		addr, err := netip.ParseAddr(f[2])
		if err != nil {
			return err
		}
		parties[f[0]].Net, parties[f[0]].Addr = f[1], addr
		delete(parties, f[0])
	}
	return errors.New("the lab was not made")
}

// Close takes the namespaces down and waits until they are.
func (l *Lab) Close() error {
	return errors.Join(l.input.Close(), l.cmd.Wait())
}
