package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// echoes checks that an echo server answers at an address.
func echoes(t *testing.T, network, addr string) {
	t.Helper()
	c := testutil.Dial(t, network, addr)
	c.Send("echo")
	c.CloseWrite()
	c.Expect("echo")
	c.ExpectEOF()
	c.Close()
}

// abstractAddr is the address of an abstract socket as abns@ makes it: padded to its full length.
func abstractAddr(name string) string {
	return "@" + name + strings.Repeat("\x00", 107-len(name))
}

func needIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	l.Close()
}

func TestBindAddresses(t *testing.T) {
	t.Parallel()
	port := func(n int) string { return strconv.Itoa(n) }
	for _, test := range []struct {
		name string
		bind string   // {port}, {dir}
		tcp  []string // {port}, {port+1}, {port+2}
		unix string
		ipv6 bool
	}{
		{name: "IPv4", bind: "bind 127.0.0.1:{port}", tcp: []string{"127.0.0.1:{port}"}},
		{name: "IPv4 with its prefix", bind: "bind ipv4@127.0.0.1:{port}", tcp: []string{"127.0.0.1:{port}"}},
		{name: "tcp4 prefix", bind: "bind tcp4@127.0.0.1:{port}", tcp: []string{"127.0.0.1:{port}"}},
		{name: "any IPv4", bind: "bind *:{port}", tcp: []string{"127.0.0.1:{port}", "127.0.0.2:{port}"}},
		{name: "any IPv4, short", bind: "bind :{port}", tcp: []string{"127.0.0.1:{port}", "127.0.0.3:{port}"}},
		{name: "IPv6", bind: "bind ::1:{port}", tcp: []string{"[::1]:{port}"}, ipv6: true},
		{name: "IPv6 in brackets", bind: "bind [::1]:{port}", tcp: []string{"[::1]:{port}"}, ipv6: true},
		{name: "any address", bind: "bind :::{port} v4v6", tcp: []string{"[::1]:{port}", "127.0.0.1:{port}"}, ipv6: true},
		{name: "IPv6 only beside IPv4", bind: "bind :::{port} v6only\n    bind *:{port}", tcp: []string{"[::1]:{port}", "127.0.0.1:{port}"}, ipv6: true},
		{name: "port range", bind: "bind 127.0.0.1:{port}-{port+2}", tcp: []string{"127.0.0.1:{port}", "127.0.0.1:{port+1}", "127.0.0.1:{port+2}"}},
		{name: "several addresses", bind: "bind 127.0.0.1:{port},127.0.0.1:{port+1}", tcp: []string{"127.0.0.1:{port}", "127.0.0.1:{port+1}"}},
		{name: "several lines", bind: "bind 127.0.0.1:{port}\n    bind 127.0.0.2:{port+1} name two", tcp: []string{"127.0.0.1:{port}", "127.0.0.2:{port+1}"}},
		{name: "UNIX", bind: "bind {dir}/front", unix: "{dir}/front"},
		{name: "UNIX with its prefix and a mode", bind: "bind unix@{dir}/front mode 600", unix: "{dir}/front"},
		{name: "abstract", bind: "bind abns@penstock-e2e-{port}", unix: "@penstock-e2e-{port}"},
		{name: "options", bind: "bind 127.0.0.1:{port} name x backlog 64 maxconn 50 mss 1400 tcp-ut 20s interface lo", tcp: []string{"127.0.0.1:{port}"}},
		{name: "defer-accept", bind: "bind 127.0.0.1:{port} defer-accept", tcp: []string{"127.0.0.1:{port}"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.ipv6 {
				needIPv6(t)
			}
			if strings.Contains(test.bind, "interface") {
				testutil.NeedRoot(t)
			}
			first := testutil.FreePorts(t, 3)
			places := []any{"port", port(first), "port+1", port(first + 1), "port+2", port(first + 2)}
			server := testutil.Serve(t, testutil.Echo)
			p := start(t, text(`
global
    nbthread 2
listen l
    {bind}
    server s1 {s1}
`, "bind", test.bind), append(places, "s1", server.Addr)...)
			for _, addr := range test.tcp {
				echoes(t, "tcp", text(addr, places...))
			}
			if test.unix != "" {
				path := text(test.unix, append(places, "dir", p.dir)...)
				if name, abstract := strings.CutPrefix(path, "@"); abstract {
					path = abstractAddr(name)
				}
				echoes(t, "unix", path)
				p.log.WaitLine(t, ` unix:1 \[[^]]+\] l l/s1 .* 4 -- `)
			}
			if strings.Contains(test.bind, "mode 600") {
				info, err := os.Stat(filepath.Join(p.dir, "front"))
				if err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("mode of the socket: %v, %v", info, err)
				}
			}
		})
	}
}

// listenerFile returns a listening socket as a file to hand down, and its port.
func listenerFile(t *testing.T) (*os.File, int) {
	t.Helper()
	l, err := net.Listen("tcp", testutil.Loopback(testutil.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Cleanup(func() { file.Close() })
	return file, port
}

func TestBindInheritedDescriptor(t *testing.T) {
	t.Parallel()
	t.Run("one proxy", func(t *testing.T) {
		t.Parallel()
		server := testutil.Serve(t, testutil.Echo)
		file, port := listenerFile(t)
		p := prepare(t, `
global
    nbthread 2
listen l
    bind fd@3
    server s1 {s1}
`, "s1", server.Addr)
		p.launch([]*os.File{file})
		for range 20 {
			p.logged(oneSession(t, port), `l l/s1 .* 7 -- .*`)
		}
	})
	t.Run("two proxies share one", func(t *testing.T) {
		t.Parallel()
		server := testutil.Serve(t, testutil.Echo)
		file, port := listenerFile(t)
		p := prepare(t, `
listen a
    bind "fd@${FE}"
    server s1 {s1}
listen b
    bind "fd@${FE}"
    server s1 {s1}
`, "s1", server.Addr)
		p.env = []string{"FE=3"}
		p.launch([]*os.File{file})
		for range 20 {
			p.logged(oneSession(t, port), `[ab] [ab]/s1 .* 7 -- .*`)
		}
		p.Signal(t, syscall.SIGUSR1)
		p.WaitCode(t, 0)
	})
}

func TestServerAddresses(t *testing.T) {
	t.Parallel()
	unix := filepath.Join(testutil.TempDir(t), "back")
	back := testutil.ListenOn(t, "unix", unix)
	name := "penstock-e2e-back-" + strconv.Itoa(os.Getpid())
	abstract := testutil.ListenOn(t, "unix", abstractAddr(name))
	tcp := testutil.Listen(t)
	for _, test := range []struct {
		name, server string
		back         *testutil.Listener
	}{
		{"UNIX", unix, back},
		{"UNIX with its prefix", "unix@" + unix, back},
		{"abstract", "abns@" + name, abstract},
		{"IPv4 prefix", "ipv4@" + tcp.Addr, tcp},
		{"name", "localhost:" + strconv.Itoa(tcp.Port), tcp},
	} {
		t.Run(test.name, func(t *testing.T) {
			port := testutil.FreePort(t)
			p := start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 {s1}
`, "port", port, "s1", test.server)
			client := dial(t, port)
			remote := test.back.Accept()
			client.Send("question")
			remote.Expect("question")
			remote.Send("answer")
			remote.Close()
			client.Expect("answer")
			client.ExpectEOF()
			client.Close()
			p.logged(client, `l l/s1 .* 6 -- .*`)
		})
	}
}

// Without a port of its own, a server is reached on the port that the client came to.
func TestServerPortFollowsClient(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, port string
		offset     int
	}{{"same", "", 0}, {"plus", ":+1", 1}, {"minus", ":-1", -1}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			port := testutil.FreePorts(t, 3) + 1
			back := testutil.ListenOn(t, "tcp", "127.0.0.9:"+strconv.Itoa(port+test.offset))
			start(t, text(`
listen l
    bind 127.0.0.1:{port}
    server s1 127.0.0.9{at}
`, "at", test.port), "port", port)
			client := dial(t, port)
			back.Accept().Send("reached")
			client.Expect("reached")
		})
	}
}

func TestSourceAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, listen, server, want string }{
		{"proxy", "source 127.0.0.2", "", "127.0.0.2"},
		{"server", "", "source 127.0.0.3", "127.0.0.3"},
		{"server before proxy", "source 127.0.0.2", "source 127.0.0.3", "127.0.0.3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := testutil.Listen(t)
			port := testutil.FreePort(t)
			start(t, text(`
listen l
    bind 127.0.0.1:{port}
    {listen}
    server s1 {s1} {server}
`, "listen", test.listen, "server", test.server), "port", port, "s1", server.Addr)
			dial(t, port)
			if got := server.Accept().RemoteAddr().(*net.TCPAddr).IP.String(); got != test.want {
				t.Errorf("the server sees %s, want %s", got, test.want)
			}
		})
	}
}

// A range of source ports is used one after the other.
func TestSourcePortRange(t *testing.T) {
	t.Parallel()
	server := testutil.Listen(t)
	port, from := testutil.FreePort(t), testutil.FreePorts(t, 3)
	start(t, `
listen l
    bind 127.0.0.1:{port}
    server s1 {s1} source 127.0.0.2:{from}-{to}
`, "port", port, "s1", server.Addr, "from", from, "to", from+2)
	used := map[int]bool{}
	for range 3 {
		dial(t, port)
		addr := server.Accept().RemoteAddr().(*net.TCPAddr)
		if addr.Port < from || addr.Port > from+2 || used[addr.Port] || addr.IP.String() != "127.0.0.2" {
			t.Errorf("the server sees %v; want an unused port of %d to %d", addr, from, from+2)
		}
		used[addr.Port] = true
	}
}
