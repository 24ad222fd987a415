package config

import (
	"strings"
	"testing"
	"time"
)

func TestSessionHandover(t *testing.T) {
	for _, test := range []struct {
		words string
		off   bool
		drain time.Duration
		alert string
	}{
		{words: "on"},
		{words: "on keep"},
		{words: "on drain 30s", drain: 30 * time.Second},
		{words: "on drain 0", drain: time.Millisecond},
		{words: "off", off: true},
		{words: "on drain", alert: "expects"},
		{words: "on drain soon", alert: "in drain"},
		{words: "off keep", alert: "expects"},
		{words: "", alert: "expects 'on'"},
	} {
		cfg, found := LoadText("handover.cfg", "global\n    session-handover "+test.words+"\n", Options{})
		switch {
		case test.alert != "":
			if !found.Fatal() || !strings.Contains(found.List[0].Text(), test.alert) {
				t.Errorf("%q: %v, want an alert with %q", test.words, found.List, test.alert)
			}
		case found.Fatal():
			t.Errorf("%q: %v", test.words, found.List)
		case cfg.Global.NoSessionHandover != test.off || cfg.Global.DrainDeparted != test.drain:
			t.Errorf("%q: off %v, drain %v", test.words, cfg.Global.NoSessionHandover, cfg.Global.DrainDeparted)
		}
	}
}
