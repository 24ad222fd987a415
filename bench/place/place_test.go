package place

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/penstock/penstock/netio"
)

func TestPlacement(t *testing.T) {
	at := func(cpus ...int) Party { return Party{CPUs: cpus, Addr: localhost} }
	for _, tc := range []struct {
		cpus  []int
		want  Placement
		text  string
		roams []int
	}{
		{[]int{3}, Placement{Client: at(3), Proxy: at(3), Server: at(3)}, "Everything on CPU 3: figures per operation include the load's cache misses", []int{3}},
		{[]int{0, 1}, Placement{Proxy: at(0), Client: at(1), Server: at(1)}, "Proxy on CPU 0, client and server on CPU 1", []int{0, 1}},
		{[]int{2, 4, 6, 8}, Placement{Proxy: at(2), Client: at(4), Server: at(6)}, "Proxy on CPU 2, client on CPU 4, server on CPU 6", []int{2, 4}},
	} {
		got := Apart(tc.cpus)
		if diff := cmp.Diff(tc.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" || got.String() != tc.text {
			t.Errorf("%v: %s %q", tc.cpus, diff, got)
		}
		roam := got.Roam(tc.cpus)
		if diff := cmp.Diff(tc.roams, roam.Server.CPUs); diff != "" {
			t.Errorf("%v: %s", tc.cpus, diff)
		}
	}
}

func TestJoin(t *testing.T) {
	const good = "client /run/netns/c 10.1.1.1\nproxy /run/netns/p 10.1.1.2\nserver /run/netns/s 10.1.2.1\n"
	p := Apart([]int{0})
	if err := p.join(strings.NewReader(good + "ready\n")); err != nil {
		t.Fatal(err)
	}
	want := Party{CPUs: []int{0}, Net: "/run/netns/p", Addr: netip.MustParseAddr("10.1.1.2")}
	if diff := cmp.Diff(want, p.Proxy, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"", good, "ready\n", "client /run/netns/c\n", "client /run/netns/c nowhere\n", "somebody /run/netns/c 10.1.1.1\n",
		strings.Repeat("client /run/netns/c 10.1.1.1\n", 2) + good + "ready\n",
	} {
		p := Apart([]int{0})
		if err := p.join(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// TestLab makes the namespaces, looks at them from inside, and finds them gone after Close.
func TestLab(t *testing.T) {
	cpus, err := netio.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	p := Apart(cpus)
	l, err := OpenLab("../../scripts/netns-lab", "reno", &p)
	if errors.Is(err, ErrNoLab) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = p.Client.Do(func() error {
		devices, err := os.ReadFile("/proc/thread-self/net/dev")
		if err == nil && !strings.Contains(string(devices), "to-proxy") {
			err = errors.New("the client's namespace has no cable to the proxy")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if port, err := p.Server.FreePort(); err != nil || port == 0 {
		t.Errorf("free port of the server: %d, %v", port, err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if left, _ := filepath.Glob(p.Client.Net); len(left) > 0 {
		t.Errorf("%v is still there", left)
	}
}

// TestOwnNet looks at the namespace from inside, and finds the thread that made it gone.
func TestOwnNet(t *testing.T) {
	p := Apart([]int{0})
	n, err := OpenNet("reno", &p)
	if err != nil {
		t.Fatal(err)
	}
	if n == nil {
		t.Skipf("network namespaces need root; here it is %s", p.TCP)
	}
	defer n.Close()
	var own, congestion string
	if err := p.Proxy.Do(func() error {
		name, errNet := os.Readlink("/proc/thread-self/ns/net")
		text, err := os.ReadFile(congestionFile)
		own, congestion = name, strings.TrimSpace(string(text))
		return errors.Join(err, errNet)
	}); err != nil {
		t.Fatal(err)
	}
	outside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil || own == outside || congestion != "reno" {
		t.Errorf("namespace %s of %s, congestion control %q, %v", own, outside, congestion, err)
	}
	if port, err := p.Server.FreePort(); err != nil || port == 0 {
		t.Errorf("free port of the server: %d, %v", port, err)
	}
	if n, err := OpenNet("no such control", &p); err == nil {
		t.Errorf("a congestion control that there is not: no error, %v", n.Close())
	}
}

func TestNoSuchNamespace(t *testing.T) {
	p := Party{CPUs: []int{0}, Net: "/nonexistent/namespace", Addr: localhost}
	if err := p.Do(func() error { return nil }); err == nil || !strings.Contains(err.Error(), p.Net) {
		t.Errorf("error %v", err)
	}
}
