package scenarios

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/penstock/penstock/bench/peers"
	"github.com/penstock/penstock/bench/place"
)

// Routes to the servers of real programs.
const (
	toRedis   = "redis"
	toMariaDB = "mariadb"
	toIperf3  = "iperf3"
)

const sysbenchDatabase = "sbtest"

// backends are the servers of real programs, each with its data in a folder of the run.
type backends struct {
	addrs     map[string]netip.AddrPort
	missing   map[string]error
	processes []*peers.Process
}

// startBackends starts what is installed in the server's place.
func startBackends(ctx context.Context, dir string, at place.Placement) *backends {
	b := &backends{addrs: map[string]netip.AddrPort{}, missing: map[string]error{}}
	for name, start := range map[string]func(context.Context, string, place.Placement, netip.AddrPort) (*peers.Process, error){
		toRedis: startRedis, toMariaDB: startMariaDB, toIperf3: startIperf3,
	} {
		own := filepath.Join(dir, name)
		err := os.Mkdir(own, 0o700)
		var port uint16
		if err == nil {
			port, err = at.Server.FreePort()
		}
		addr := netip.AddrPortFrom(at.Server.Addr, port)
		var p *peers.Process
		if err == nil {
			p, err = start(ctx, own, at, addr)
		}
		if p != nil {
			b.processes = append(b.processes, p)
		}
		if err != nil {
			b.missing[name] = err
			continue
		}
		b.addrs[name] = addr
	}
	return b
}

func (b *backends) stop() {
	if b == nil {
		return
	}
	for _, p := range b.processes {
		p.Stop()
	}
}

// launch runs a server and waits until it answers.
func launch(ctx context.Context, at place.Placement, addr netip.AddrPort, program string, args ...string) (*peers.Process, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			return nil, fmt.Errorf("%s is not there", program)
		}
	}
	p, err := peers.StartProgram(program, append([]string{path}, args...), at.Server)
	if err != nil {
		return nil, err
	}
	if err := p.Await(ctx, at.Client, addr); err != nil {
		return p, fmt.Errorf("start %s: %w", program, err)
	}
	return p, nil
}

func startRedis(ctx context.Context, dir string, at place.Placement, addr netip.AddrPort) (*peers.Process, error) {
	return launch(ctx, at, addr, "redis-server", "--bind", addr.Addr().String(), "--port", fmt.Sprint(addr.Port()),
		"--save", "", "--appendonly", "no", "--dir", dir, "--protected-mode", "no")
}

func startIperf3(ctx context.Context, _ string, at place.Placement, addr netip.AddrPort) (*peers.Process, error) {
	return launch(ctx, at, addr, "iperf3", "-s", "-B", addr.Addr().String(), "-p", fmt.Sprint(addr.Port()))
}

// startMariaDB makes a database server without users, and fills the table that sysbench reads.
func startMariaDB(ctx context.Context, dir string, at place.Placement, addr netip.AddrPort) (*peers.Process, error) {
	load, err := exec.LookPath("sysbench")
	if err != nil {
		return nil, fmt.Errorf("sysbench is not there")
	}
	install, err := exec.LookPath("mariadb-install-db")
	if err != nil {
		return nil, fmt.Errorf("mariadb-install-db is not there")
	}
	data := filepath.Join(dir, "data")
	user := "--user=" + userName()
	if _, err := runProgram(ctx, at.Server, install, "--no-defaults", "--datadir="+data, "--skip-test-db", "--skip-name-resolve", user); err != nil {
		return nil, err
	}
	// A folder is a database.
	if err := os.Mkdir(filepath.Join(data, sysbenchDatabase), 0o700); err != nil {
		return nil, err
	}
	p, err := launch(ctx, at, addr, "mariadbd", "--no-defaults", "--datadir="+data, user, "--skip-grant-tables", "--skip-name-resolve",
		"--bind-address="+addr.Addr().String(), "--port="+fmt.Sprint(addr.Port()), "--socket="+filepath.Join(dir, "socket"),
		"--pid-file="+filepath.Join(dir, "pid"), "--innodb-flush-log-at-trx-commit=0", "--max-connections=500")
	if err != nil {
		return p, err
	}
	_, err = runProgram(ctx, at.Client, load, append(sysbench(addr), "prepare")...)
	return p, err
}

// userName is what mariadbd is to run as, which it does not ask the system when it is root.
func userName() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return os.Getenv("USER")
}
