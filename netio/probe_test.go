package netio

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestProbe(t *testing.T) {
	for _, f := range Probe() {
		t.Logf("%s: %v %s", f.Name, f.Answer, f.Reason)
		if (f.Answer == Yes) != (f.Reason == "") {
			t.Errorf("%s: answer %v with reason %q", f.Name, f.Answer, f.Reason)
		}
		if f.Name == "splice" && f.Answer == No {
			t.Errorf("every supported kernel has splice: %s", f.Reason)
		}
	}
}

func TestFeatureJudgesErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Answer
	}{
		{nil, Yes},
		{unix.ENOPROTOOPT, No},
		{fmt.Errorf("probe: %w", unix.ENOSYS), No},
		{unix.EPERM, No},
		{unix.EMFILE, Unknown},
	} {
		if got := feature("x", test.err).Answer; got != test.want {
			t.Errorf("feature(%v) = %v, want %v", test.err, got, test.want)
		}
	}
}
