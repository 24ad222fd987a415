package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

const formSections = `
listen page
    mode http
    bind {page}
    option httplog
    log-tag page
    stats uri /stats
    stats admin if LOCALHOST
listen locked
    mode http
    bind {locked}
    stats uri /stats
    stats admin if FALSE
    stats http-request deny if { src 127.0.0.2 }
backend b
    server s1 127.0.0.1:1
    server s2 {server} check inter 100s
    server s3 127.0.0.1:3 disabled
`

// post sends a form as curl does, and returns the answer's status and where it leads.
func post(tb testing.TB, url, form string, headers ...string) string {
	tb.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(form))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		tb.Fatal(err)
	}
	response.Body.Close()
	return fmt.Sprint(response.StatusCode, " ", response.Header.Get("Location"))
}

// A script that sends forms to HAProxy's page sends them to ours, with the same outcome. A browser that somebody else's
// page made send one is refused.
func TestPageFormAgreesWithHAProxy(t *testing.T) {
	t.Parallel()
	skipForeign(t, "is compared with another program")
	haproxy := testutil.Need(t, "haproxy")
	server := testutil.Listen(t).Addr
	script := func(path string) (p *proxy, site string, seen []string) {
		page, locked := testutil.Loopback(testutil.FreePort(t)), testutil.Loopback(testutil.FreePort(t))
		p = prepare(t, formSections, "page", page, "locked", locked, "server", server)
		cmd := exec.Command(path, "-db", "-f", p.cfg)
		cmd.Dir = p.dir
		p.run(cmd)
		site = "http://" + page
		testutil.Eventually(t, "the check is done", func() bool {
			answer, err := p.ask("show stat b 4 -1")
			return err == nil && strings.Contains(answer, "L4OK,")
		})
		states := func() string {
			answer, err := p.ask("show stat b 4 -1")
			if err != nil {
				t.Fatal(err)
			}
			_, rows := mustCSV(t, answer)
			all := ""
			for _, r := range rows {
				all += " " + strings.Fields(r["status"] + " .")[0]
			}
			return all
		}
		for _, form := range []string{
			"s=s1&action=maint&b=b", "s=s1&s=s3&action=ready&b=%234", "b=b&action=drain&s=s1&s=s2", "action=ready&s=s1&s=s2&b=b",
			"s=nope&action=maint&b=b", "s=s1&s=nope&action=maint&b=b", "s=s1&action=ready&b=b", "s=s1&action=maint&b=nope",
			"s=s1&action=wat&b=b", "s=s1&action=&b=b", "action=maint&b=b", "s=s1&b=b", "", "x=y", "s=s3&action=disable&b=b",
			"s=s3&action=enable&b=b", "s=s3&action=stop&b=b", "s=s3&action=start&b=b", "s=s2&action=hdown&b=b", "s=s2&action=hnolb&b=b",
			"s=s2&action=hrunn&b=b", "s=s1&action=dhlth&b=b", "s=s1&action=ehlth&b=b", "s=s2&action=dhlth&b=b", "s=s2&action=ehlth&b=b",
			"s=s1&action=dagent&b=b", "s=s1&action=eagent&b=b", "s=s1&action=arunn&b=b", "s=s1&action=adown&b=b", "s=s2&s=s3&action=shutdown&b=b",
		} {
			seen = append(seen, form, post(t, site+"/stats", form)+states())
		}
		seen = append(
			seen,
			post(t, site+"/stats;up;norefresh", ""),
			post(t, "http://"+locked+"/stats", "s=s1&action=maint&b=b")+states(),
		)
		return p, site, seen
	}
	_, _, want := script(haproxy)
	p, site, got := script(program.path)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-haproxy +penstock):\n%s", diff)
	}
	p.log.WaitLine(t, `page page/<STATS> 0/0/0/0/\d+ 303 \d+ - - LR-- \d+/\d+/0/0/0 0/0 "POST /stats HTTP/1.1"`)
	p.log.WaitLine(t, `Page page: 127.0.0.1:\d+ asked for 'set server b/s1 state maint': done`)
	if got := post(t, site+"/stats", "s=s1&action=maint&b=b", "Origin: http://elsewhere.example"); got != "403 " {
		t.Errorf("a forged form is answered %q", got)
	}
	p.log.WaitLine(t, `Page page: a change asked for by 127.0.0.1:\d+ was refused: it comes from another site`)
}
