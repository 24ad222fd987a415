package balance

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFold(t *testing.T) {
	for addr, want := range map[string]uint32{
		"127.0.0.1":                0x7f000001,
		"255.0.1.2":                0xff000102,
		"::1":                      1,
		"2001:db8:1:2:3:4:5:6":     0x20010db8 ^ 0x00010002 ^ 0x00030004 ^ 0x00050006,
		"::ffff:10.1.2.3":          0xffff ^ 0x0a010203,
		"fe80::1%lo":               0xfe800000 ^ 1,
		"ffff:ffff:ffff:ffff::1:0": 0x10000,
	} {
		if got := Fold(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Fold(%s) = %#x, want %#x", addr, got, want)
		}
	}
	if got := Fold(netip.Addr{}); got != 0 {
		t.Errorf("Fold of no address = %#x, want 0", got)
	}
}

func TestNumber(t *testing.T) {
	for key, want := range map[string]uint32{
		"":                      0,
		"0":                     0,
		"42":                    42,
		"+42":                   42,
		"-1":                    0xffffffff,
		"-":                     0,
		"12ab":                  12,
		"x12":                   0,
		"4294967297":            1,
		"9223372036854775807":   0xffffffff,
		"9223372036854775808":   0xffffffff,
		"99999999999999999999":  0xffffffff,
		"-9223372036854775808":  0,
		"-99999999999999999999": 0,
	} {
		if got := Number([]byte(key)); got != want {
			t.Errorf("Number(%q) = %d, want %d", key, got, want)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"", "17", "-4x", "92233720368547758079", "+"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		got := Number(key)
		if with := Number(append(bytes.Clone(key), 'x')); with != got {
			t.Errorf("Number(%q) = %d, but %d with a letter behind it", key, got, with)
		}
		if len(key) > 0 && key[0] >= '0' && key[0] <= '9' {
			if negative := Number(append([]byte("-"), key...)); negative != -got && len(key) < 19 {
				t.Errorf("Number(%q) = %d, and its negation is %d", key, got, negative)
			}
		}
	})
}

// TestHashesEqualHAProxy lets a real HAProxy hash the same keys with its converters.
func TestHashesEqualHAProxy(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	const cfg = `global
 nbthread 1
defaults
 mode http
 timeout client 10s
frontend f
 bind fd@3
 http-request return status 200 content-type text/plain lf-string "%[req.fhdr(key),sdbm] %[req.fhdr(key),djb2] %[req.fhdr(key),wt6] %[req.fhdr(key),crc32] %[req.fhdr(key),sdbm(1)]"
`
	if err := os.WriteFile(file, []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-f", file)
	cmd.ExtraFiles = []*os.File{inherited}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inherited.Close()
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("end haproxy: %v", err)
		}
		_ = cmd.Wait() // its status says only that it was killed
	})
	client := http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	random := rand.New(rand.NewPCG(5, 6))
	for n := range 64 {
		raw := make([]byte, n/2+1)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		key := hex.EncodeToString(raw)[:n+1]
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("key", key)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		k := []byte(key)
		got := fmt.Sprint(SDBM(k), DJB2(k), WT6(k), CRC32(k), Avalanche(SDBM(k)))
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("hashes of %q (-haproxy +ours):\n%s", key, diff)
		}
	}
}
