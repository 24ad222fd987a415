// Package relayargs is the command line that the benchmark's own relays share. It relays nothing.
package relayargs

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"
)

// Args are what a relay is told: "[-threads n] [-splice] listen=server …".
type Args struct {
	Threads int
	Splice  bool
	Routes  []Route
}

// Route is an address to listen on and the server behind it.
type Route struct{ Listen, Server netip.AddrPort }

// Parse reads the arguments after the program's name.
func Parse(name string, args []string) (a Args, err error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.IntVar(&a.Threads, "threads", 1, "number of threads")
	fs.BoolVar(&a.Splice, "splice", false, "move the bytes with splice(2)")
	if err := fs.Parse(args); err != nil {
		return Args{}, err
	}
	if a.Threads < 1 || fs.NArg() == 0 {
		return Args{}, errors.New("usage: " + name + " [-threads n] [-splice] listen=server …")
	}
	for _, word := range fs.Args() {
		listen, server, _ := strings.Cut(word, "=")
		var r Route
		var errListen, errServer error
		r.Listen, errListen = netip.ParseAddrPort(listen)
		r.Server, errServer = netip.ParseAddrPort(server)
		if err := errors.Join(errListen, errServer); err != nil {
			return Args{}, fmt.Errorf("route %q: %w", word, err)
		}
		a.Routes = append(a.Routes, r)
	}
	return a, nil
}
