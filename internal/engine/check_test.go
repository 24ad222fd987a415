package engine

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/session"
)

func TestCheckRefusesTooManyProxies(t *testing.T) {
	for _, n := range []int{1, session.MaxProxies + 1} {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "backend b%d\n", i)
		}
		cfg, found := config.LoadText("many.cfg", text.String(), config.Options{})
		if found.Fatal() {
			t.Fatalf("%d backends: %v", n, found.List[0])
		}
		if got, want := Check(cfg, Options{Report: &config.Reporter{W: io.Discard}}), n <= session.MaxProxies; got != want {
			t.Errorf("Check of %d proxies = %v, want %v", n, got, want)
		}
	}
}

func TestCheckCompilesFormats(t *testing.T) {
	for format, want := range map[string]bool{"%ci %ts": true, "%nosuch": false} {
		cfg, found := config.LoadText("format.cfg", "listen l\n    bind 127.0.0.1:1\n    log 127.0.0.1 local0\n    log-format \""+format+"\"\n", config.Options{})
		if found.Fatal() {
			t.Fatal(found.List[0])
		}
		var out strings.Builder
		if got := Check(cfg, Options{Report: &config.Reporter{W: &out}}); got != want {
			t.Errorf("Check with log-format %s = %v, want %v: %s", format, got, want, out.String())
		}
		if !want && !strings.Contains(out.String(), "[format.cfg:4]") {
			t.Errorf("the message does not name the line: %s", out.String())
		}
	}
}
