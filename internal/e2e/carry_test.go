package e2e

import (
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// What operators changed about frontends and limits outlives a reload, unless the configuration changes it too, and a
// frontend that was disabled is not resumed by anybody else.
func TestReloadKeepsChanges(t *testing.T) {
	needHandover(t)
	skipForeign(t, "it begins as its configuration says")
	server := testutil.Serve(t, testutil.Echo)
	offPort := testutil.FreePort(t)
	off, on := testutil.Loopback(offPort), testutil.Loopback(testutil.FreePort(t))
	sections := `
global
    maxconn {most}
    maxsessrate 1000
listen off
    bind {off}
    maxconn 50
    server s1 {server} maxconn 10
listen on
    bind {on}
    maxconn 60
    server s1 {server} maxconn {limit}
`
	pairs := []any{"off", off, "on", on, "server", server.Addr}
	g := startLineage(t, sections, append(pairs, "most", 500, "limit", 20)...)
	order := func(command string) {
		t.Helper()
		if answer, err := g.ask(command); err != nil || strings.TrimSpace(answer) != "" {
			t.Fatalf("%s: %q, %v", command, answer, err)
		}
	}
	order("disable frontend off;set maxconn frontend on 61;set maxconn server off/s1 11;set maxconn server on/s1 21")
	order("set maxconn global 400;set rate-limit connections global 900;set rate-limit sessions global 800")
	rows := func() map[string]string {
		t.Helper()
		stat, err := g.ask("show stat")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for line := range strings.Lines(stat) {
			if f := strings.Split(line, ","); len(f) > 17 {
				got[f[0]+"/"+f[1]] = f[6] + " " + f[17]
			}
		}
		return got
	}
	check := func(onServer, global string) {
		t.Helper()
		got := rows()
		for name, want := range map[string]string{
			"off/FRONTEND": "50 PAUSED", "on/FRONTEND": "61 OPEN", "off/s1": "11 no check", "on/s1": onServer + " no check",
		} {
			if got[name] != want {
				t.Errorf("%s: %q, want %q", name, got[name], want)
			}
		}
		info, err := g.ask("show info")
		for _, want := range []string{"\nMaxconn: " + global + "\n", "\nConnRateLimit: 900\n", "\nSessRateLimit: 800\n"} {
			if err != nil || !strings.Contains(info, want) {
				t.Errorf("no %q in what show info says, %v", want, err)
			}
		}
		if !refused(offPort) {
			t.Error("the frontend that is disabled takes connections")
		}
		c := testutil.Dial(t, "tcp", on)
		c.Send("a")
		c.Expect("a")
	}
	check("21", "400")
	g.reload()
	check("21", "400")
	// The signal that resumes the process does not resume what an operator paused.
	g.Signal(t, syscall.SIGTTOU)
	testutil.Eventually(t, "the process pauses", func() bool { return rows()["on/FRONTEND"] == "61 PAUSED" })
	g.Signal(t, syscall.SIGTTIN)
	testutil.Eventually(t, "the process resumes", func() bool { return rows()["on/FRONTEND"] == "61 OPEN" })
	check("21", "400")
	g.configure(sections, append(pairs, "most", 600, "limit", 30)...)
	g.reload()
	check("30", "600")
	order("enable frontend off")
	c := testutil.Dial(t, "tcp", off)
	c.Send("a")
	c.Expect("a")
}
