package main

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// TestRelay: the client's end travels on its own, and what the server says afterwards still arrives.
func TestRelay(t *testing.T) {
	server, front := mustListen(t), mustListen(t)
	go func() {
		for {
			c, err := server.AcceptTCP()
			if err != nil {
				return
			}
			if all, err := io.ReadAll(c); err == nil {
				c.Write(all)
			}
			c.Close()
		}
	}()
	go serve(front, server.Addr().(*net.TCPAddr))
	want := bytes.Repeat([]byte("there and back again "), 100_000)
	for range 3 {
		c, err := net.DialTCP("tcp", nil, front.Addr().(*net.TCPAddr))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c.Write(want)
			c.CloseWrite()
		}()
		got, err := io.ReadAll(c)
		c.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d came back, %v", len(got), len(want), err)
		}
	}
}

func mustListen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
