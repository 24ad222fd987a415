package config

import (
	"strings"
	"testing"
)

func TestSteer(t *testing.T) {
	for _, test := range []struct {
		words string
		want  Steer
		alert string
	}{
		{words: "hash", want: SteerHash},
		{words: "cpu", want: SteerCPU},
		{words: "ebpf", want: SteerEBPF},
		{words: "luck", alert: "only supports 'hash', 'cpu' and 'ebpf' (got 'luck')"},
		{words: "", alert: "only supports 'hash', 'cpu' and 'ebpf' (got '')"},
		{words: "cpu hash", alert: "'hash'"},
	} {
		cfg, found := LoadText("steer.cfg", "global\n    steer "+test.words+"\n", Options{})
		switch {
		case test.alert == "" && found.Fatal():
			t.Errorf("steer %s: %v", test.words, found.List)
		case test.alert == "" && cfg.Global.Steer != test.want:
			t.Errorf("steer %s = %v, want %v", test.words, cfg.Global.Steer, test.want)
		case test.alert != "" && (!found.Fatal() || !strings.Contains(found.List[0].Text(), test.alert)):
			t.Errorf("steer %s: %v, want an alert with %q", test.words, found.List, test.alert)
		}
	}
}
