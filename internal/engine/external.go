package engine

import (
	"fmt"
	"os"
	"strconv"

	"github.com/penstock/penstock/internal/check"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/netio"
)

// external is how the programs of external checks are started. It opens what they need before the process gives up
// its root directory.
func (e *Engine) external() (check.External, error) {
	g := &e.cfg.Global
	x := check.External{Allowed: g.InsecureFork, Address: e.serverPlace}
	if g.ExternalPreserveEnv {
		x.Environ = os.Environ()
	}
	if !g.ExternalCheck || e.checking {
		return x, nil
	}
	if err := netio.CloseAllOnExec(); err != nil {
		return x, fmt.Errorf("start external checks: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return x, fmt.Errorf("start external checks: %w", err)
	}
	e.null, x.Null = null, null
	return x, nil
}

// command is the program that looks at the servers of a proxy, nil when none does.
func command(c *config.Proxy) *check.Command {
	if c.Check.Kind != config.CheckExternal {
		return nil
	}
	cmd := &check.Command{Name: c.ExternalCommand, Path: c.ExternalPath, ProxyID: c.ID}
	if len(c.Binds) == 0 {
		return cmd
	}
	switch a := &c.Binds[0].Addrs[0]; a.Kind {
	case config.AddrTCP:
		cmd.Addr, cmd.Port = "0.0.0.0", strconv.Itoa(a.Port)
		if a.IP.IsValid() {
			cmd.Addr = a.IP.String()
		}
	case config.AddrUnix, config.AddrAbstract:
		cmd.Addr = a.Path
	}
	return cmd
}

// serverPlace is where a server is, as text.
func (e *Engine) serverPlace(proxy, server int) (addr, port string) {
	d := e.proxies[proxy].Server(server).Destination()
	if d.Addr.Family() == netio.FamilyUnix {
		return e.Servers(proxy)[server].Addr.Path, ""
	}
	a := d.Addr.Addr()
	to := a.AddrPort()
	return to.Addr().String(), strconv.Itoa(int(to.Port()))
}
