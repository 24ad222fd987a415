package main

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/peers/relayargs"
	"github.com/penstock/penstock/bench/place"
)

// TestRelay sends more than any buffer holds both ways at once, with the client's end before the
// server's last words: nothing may be lost, changed or cut off, with copying and with splicing.
func TestRelay(t *testing.T) {
	for name, splice := range map[string]bool{"copy": false, "splice": true} {
		t.Run(name, func(t *testing.T) {
			server, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			at := place.Party{CPUs: []int{0}, Addr: netip.MustParseAddr("127.0.0.1")}
			port, err := at.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			listen := netip.AddrPortFrom(at.Addr, port)
			go run(relayargs.Args{Threads: 1, Splice: splice, Routes: []relayargs.Route{
				{Listen: listen, Server: netip.MustParseAddrPort(server.Addr().String())},
			}})
			want := bytes.Repeat([]byte("there and back again "), 500_000)
			go func() {
				for {
					c, err := server.Accept()
					if err != nil {
						return
					}
					go func() { // what came goes back only after the client's end
						defer c.Close()
						all, err := io.ReadAll(c)
						if err == nil {
							c.Write(all)
						}
					}()
				}
			}()
			for range 3 {
				c := mustDial(t, listen)
				go func() {
					c.Write(want)
					c.(*net.TCPConn).CloseWrite()
				}()
				got, err := io.ReadAll(c)
				c.Close()
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes of %d came back, %v", len(got), len(want), err)
				}
			}
		})
	}
}

func mustDial(t *testing.T, addr netip.AddrPort) net.Conn {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		c, err := net.Dial("tcp", addr.String())
		if err == nil {
			return c
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
