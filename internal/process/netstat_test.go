package process

import "testing"

func TestParseMigrations(t *testing.T) {
	for _, test := range []struct {
		text string
		want Migrations
	}{
		{"TcpExt: A TCPMigrateReqSuccess TCPMigrateReqFailure B\nTcpExt: 1 22 3 4\nIpExt: X\nIpExt: 5\n", Migrations{22, 3}},
		{"IpExt: X\nIpExt: 5\nTcpExt: TCPMigrateReqFailure\nTcpExt: 7\n", Migrations{0, 7}},
		{"TcpExt: A TCPMigrateReqSuccess\nTcpExt: 1\n", Migrations{}},
		{"TcpExt: TCPMigrateReqSuccess\nTcpExt: -1\n", Migrations{}},
		{"", Migrations{}},
		{"TcpExt: TCPMigrateReqSuccess", Migrations{}},
	} {
		if got := parseMigrations(test.text); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.text, got, test.want)
		}
	}
	if got := (Migrations{5, 1}).Since(Migrations{3, 4}); got != (Migrations{2, 0}) {
		t.Errorf("difference %+v", got)
	}
}

func FuzzParseMigrations(f *testing.F) {
	f.Add("TcpExt: A TCPMigrateReqSuccess TCPMigrateReqFailure B\nTcpExt: 1 22 3 4\n")
	f.Fuzz(func(_ *testing.T, text string) { parseMigrations(text) })
}
