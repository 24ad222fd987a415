package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/penstock/penstock/internal/testutil"
)

func TestCPUTime(t *testing.T) {
	for _, c := range []struct {
		stat string
		want time.Duration
	}{
		{"12 (penstock) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 5 0 77 1 2", 3 * time.Second},
		{"12 (a) b (c) S 1 1 1 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 5", 30 * time.Millisecond},
		{"12 (short) S 1 1", 0},
		{"12 (x) S 1 1 1 0 -1 4194560 100 0 0 0 one 2 0 0", 0},
		{"no process", 0},
		{"", 0},
	} {
		if got := cpuTime(c.stat); got != c.want {
			t.Errorf("cpuTime(%q) = %v, want %v", c.stat, got, c.want)
		}
	}
}

func TestPSS(t *testing.T) {
	for _, c := range []struct {
		rollup string
		want   int
	}{
		{"00400000-7ffc [rollup]\nRss:  9000 kB\nPss:   4321 kB\nPss_Dirty: 1 kB\n", 4321},
		{"Pss: many kB\n", 0},
		{"", 0},
	} {
		if got := pss(c.rollup); got != c.want {
			t.Errorf("pss(%q) = %d, want %d", c.rollup, got, c.want)
		}
	}
}

func TestLine(t *testing.T) {
	before := sample{at: time.Unix(100, 0), requests: 1000, connections: 10, served: [3]int{1, 2, 3}, cpu: time.Second, memoryKiB: 1024}
	now := sample{
		at: time.Unix(102, 0), requests: 5000, connections: 110, served: [3]int{101, 52, 3},
		cpu: 1500 * time.Millisecond, memoryKiB: 2560,
	}
	want := "redis1    100   redis2     50   redis3      0   " +
		"2000 requests/s, 50 connections/s; Penstock: 25 % of a CPU, 125.0 µs per request, 2.5 MiB"
	if diff := cmp.Diff(want, line(before, now)); diff != "" {
		t.Error(diff)
	}
	wantBars := "  redis1 " + strings.Repeat("#", 40) + "      100 commands      0 connections\n" +
		"  redis2 " + strings.Repeat("#", 20) + strings.Repeat(" ", 20) + "       50 commands      0 connections\n" +
		"  redis3 " + strings.Repeat(" ", 40) + "        0 commands      0 connections\n"
	if diff := cmp.Diff(wantBars, bars(before, now)); diff != "" {
		t.Error(diff)
	}
	now.memoryKiB = 0
	if got := costs(before, now); !strings.HasSuffix(got, "Penstock has ended") {
		t.Errorf("costs of an ended balancer: %q", got)
	}
}

func TestSessionLine(t *testing.T) {
	log := "<134>Nov 20 08:43:06 penstock[3628]: 127.0.0.1:41580 [20/Nov/2026:08:36:15.997] l l/redis1 1/0/0 12 -- 1/1/0/0/0 0/0\n"
	match := sessionLine.FindStringSubmatch(log)
	if match == nil || !strings.HasPrefix(match[1], "127.0.0.1:41580 [") || strings.HasSuffix(match[1], "\n") {
		t.Errorf("match is %q", match)
	}
	if stop := "<133>Nov 20 08:43:06 penstock[3628]: Proxy l stopped (cumulated conns: FE: 1, BE: 1).\n"; sessionLine.MatchString(stop) || !stoppedLine.MatchString(stop) {
		t.Error("a stop is taken for a session")
	}
}

// HAProxy accepts the configuration that the demo writes.
func TestConfiguration(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	dir := t.TempDir()
	log, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s := &stage{stats: filepath.Join(dir, "stats"), log: log, ports: [2]int{16379, 16380}}
	for range serverCount {
		s.servers = append(s.servers, miniredis.RunT(t))
	}
	cfg := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(cfg, []byte(s.configuration()), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(haproxy, "-c", "-dW", "-f", cfg).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestClaimPort(t *testing.T) {
	held := testutil.HoldPort(t)
	first, claim, err := claimPort(held)
	if err != nil || first == held {
		t.Fatalf("claimed %d, which is taken: %v", first, err)
	}
	defer claim.Close()
	second, claim, err := claimPort(first)
	if err != nil || second == first {
		t.Fatalf("claimed %d twice: %v", second, err)
	}
	claim.Close()
}
