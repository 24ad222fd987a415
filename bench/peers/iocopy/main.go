// Command iocopy is the proxy that a Go programmer writes: net, two goroutines a connection, io.Copy.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"github.com/penstock/penstock/bench/peers/relayargs"
)

func main() {
	a, err := relayargs.Parse("iocopy", os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	runtime.GOMAXPROCS(a.Threads)
	ended := make(chan error)
	for _, r := range a.Routes {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(r.Listen))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() { ended <- serve(l, net.TCPAddrFromAddrPort(r.Server)) }()
	}
	fmt.Fprintln(os.Stderr, <-ended)
	os.Exit(1)
}

// serve relays every connection of a listener to the server.
func serve(l *net.TCPListener, server *net.TCPAddr) error {
	for {
		client, err := l.AcceptTCP()
		if err != nil {
			return err
		}
		go relay(client, server)
	}
}

func relay(client *net.TCPConn, to *net.TCPAddr) {
	defer client.Close()
	server, err := net.DialTCP("tcp", nil, to)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		half(server, client)
		close(done)
	}()
	half(client, server)
	<-done
}

// half copies one direction; its end is passed on, the other direction goes on.
func half(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	_ = to.CloseWrite() // the peer may be gone, which the other direction will tell
}
