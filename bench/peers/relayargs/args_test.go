package relayargs

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	at := netip.MustParseAddrPort
	got, err := Parse("x", []string{"-threads", "2", "-splice", "127.0.0.1:1=127.0.0.2:2", "[::1]:3=127.0.0.1:4"})
	if err != nil {
		t.Fatal(err)
	}
	want := Args{Threads: 2, Splice: true, Routes: []Route{{at("127.0.0.1:1"), at("127.0.0.2:2")}, {at("[::1]:3"), at("127.0.0.1:4")}}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range [][]string{nil, {"-threads", "0", "127.0.0.1:1=127.0.0.2:2"}, {"127.0.0.1:1"}, {"127.0.0.1:1="}, {"=127.0.0.1:1"}} {
		if a, err := Parse("x", bad); err == nil {
			t.Errorf("%q: %+v", bad, a)
		}
	}
}
