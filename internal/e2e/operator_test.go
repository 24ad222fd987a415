package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// hands are what an operator does, with one tool.
type hands struct {
	state func(server, state string)         // drain, ready
	weigh func(server string, weight int)    // sets a weight
	reads func(server, pattern string)       // returns when the tool shows what is the matter with a server
	ends  func(client string, server string) // finds a session by its client, and ends it
}

// socatHands are the lines that everybody has in a script.
func socatHands(t *testing.T, p *proxy, _ string) hands {
	socat := testutil.Need(t, "socat")
	ask := func(command string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", `echo "$1" | "$2" stdio "unix-connect:$3"`, "sh", command, socat, p.stats)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		return string(out)
	}
	silent := func(command string) {
		t.Helper()
		if answer := strings.TrimSpace(ask(command)); answer != "" {
			t.Errorf("%s: %s", command, answer)
		}
	}
	return hands{
		state: func(server, state string) { silent("set server l/" + server + " state " + state) },
		weigh: func(server string, weight int) { silent(fmt.Sprintf("set weight l/%s %d", server, weight)) },
		reads: func(server, pattern string) {
			testutil.Eventually(t, server+" is shown with "+pattern, func() bool {
				_, rows := mustCSV(t, ask("show stat l 4 -1"))
				for _, row := range rows {
					if row["svname"] == server {
						return regexp.MustCompile(pattern).MatchString(row["status"] + " " + row["last_chk"])
					}
				}
				return false
			})
		},
		ends: func(client, server string) {
			for line := range strings.Lines(ask("show sess server l/" + server)) {
				if id, _, _ := strings.Cut(line, ":"); strings.Contains(line, "src="+client+" ") {
					silent("shutdown session " + id)
				}
			}
		},
	}
}

// pageHands are a browser at the page, without the browser: what it asks for, and what it tells of itself.
func pageHands(t *testing.T, p *proxy, page string) hands {
	site := "http://" + page
	exchange := func(method, path string, form url.Values) (status int, body string) {
		t.Helper()
		request, err := http.NewRequest(method, site+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
		if method == http.MethodPost {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set("Origin", site)
			request.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if to := response.Header.Get("Location"); to != "" {
			text = []byte(to)
		}
		return response.StatusCode, string(text)
	}
	send := func(path string, form url.Values) {
		t.Helper()
		_, body := exchange(http.MethodGet, path, nil)
		form.Set("token", mustMatch(t, "page", body, `name="token" value="(\w+)"`)[1])
		if status, to := exchange(http.MethodPost, path, form); status != http.StatusSeeOther || !strings.Contains(to, ";st=DONE") {
			t.Errorf("%v: %d %s", form, status, to)
		}
	}
	row := func(kind, id string) string {
		_, body := exchange(http.MethodGet, "/stats"+kind, nil)
		for _, part := range strings.Split(body, "<tr ")[1:] {
			part, _, _ = strings.Cut(part, "</tr>")
			if strings.Contains(part, id) {
				return part
			}
		}
		return ""
	}
	return hands{
		state: func(server, state string) {
			send("/stats", url.Values{"b": {"l"}, "s": {server}, "action": {state}})
		},
		weigh: func(server string, weight int) {
			send("/stats", url.Values{"b": {"l"}, "s": {server}, "action": {"weight"}, "weight": {fmt.Sprint(weight)}})
		},
		reads: func(server, pattern string) {
			testutil.Eventually(t, server+" is shown with "+pattern, func() bool {
				tags := regexp.MustCompile(`<[^>]*>\n?`)
				return regexp.MustCompile(pattern).MatchString(tags.ReplaceAllString(row("", `id="l/`+server+`"`), " "))
			})
		},
		ends: func(client, _ string) {
			id := mustMatch(t, "row of "+client, row(";sessions", "> "+client+"<"), `name="session" value="(0x\w+)"`)[1]
			send("/stats;sessions", url.Values{"session": {id}, "action": {"shutdown"}})
		},
	}
}

// topHands are a person at penstock top.
func topHands(t *testing.T, p *proxy, _ string) hands {
	tmux := testutil.Need(t, "tmux")
	run := terminal(t, tmux, p.dir, "env", "TERM=screen", "LC_ALL=C", program.path, "top", "--interval", "100ms", "--view", "servers", "-s", p.stats)
	shows := func(pattern string) {
		t.Helper()
		testutil.Eventually(t, "a screen with "+pattern, func() bool {
			return regexp.MustCompile(`(?m)` + pattern).MatchString(run("capture-pane", "-p"))
		})
	}
	press := func(keys ...string) { run(append([]string{"send-keys"}, keys...)...) }
	only := func(view, filter, row string) {
		t.Helper()
		press(view, "/", "C-u", filter, "Enter")
		shows(row)
	}
	shows(`^l/s1 +UP`)
	return hands{
		state: func(server, state string) {
			only("4", "^l/"+server, `filter: .*`+server)
			press(state[:1])
			shows(`^` + state + ` l/` + server + `\? \[y/N\]`)
			press("y")
			if state == "drain" {
				shows(`^l/` + server + ` +DRAIN`)
			} else {
				shows(`^l/` + server + ` +UP`)
			}
		},
		weigh: func(server string, weight int) {
			only("4", "^l/"+server, `filter: .*`+server)
			press("w", "C-u", fmt.Sprint(weight), "Enter")
			shows(`\[y/N\]`)
			press("y")
			shows(fmt.Sprintf(`^l/%s +UP.* %d `, server, weight))
		},
		reads: func(server, pattern string) {
			only("4", "^l/"+server, `^l/`+server+` `)
			press("Enter")
			shows(`(?s)state .*` + pattern)
			press("Escape")
			shows(`^l/` + server + ` `)
		},
		ends: func(client, server string) {
			only("5", client, `^0x\w+ .* `+regexp.QuoteMeta(client)+` .*l/`+server)
			press("k")
			shows(`^shut down session 0x\w+ of ` + regexp.QuoteMeta(client) + `\? \[y/N\]`)
			press("y")
			shows(`^nothing`)
		},
	}
}

// A day of an operator: a server is emptied, gets a new version, is seen failing and coming back, serves again, gets more to
// do than before, and a session that hangs is found and ended. It is the same day with each of the tools.
func TestOperatorsDay(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has other tools")
	for _, tool := range []struct {
		name string
		take func(*testing.T, *proxy, string) hands
	}{
		{"socat", socatHands},
		{"the page", pageHands},
		{"top", topHands},
	} {
		t.Run(tool.name, func(t *testing.T) {
			t.Parallel()
			greeting := func(text string) func(*testutil.Conn) {
				return func(c *testutil.Conn) { _, _ = io.WriteString(c, text); testutil.Echo(c) }
			}
			first, second := testutil.Serve(t, greeting("one, old")), testutil.Serve(t, greeting("two     "))
			port, page := testutil.FreePort(t), testutil.Loopback(testutil.FreePort(t))
			p := start(t, `
listen page
    mode http
    bind {page}
    stats uri /stats
    stats admin if LOCALHOST
listen l
    bind 127.0.0.1:{port}
    default-server check inter 30ms rise 1 fall 2
    server s1 {s1}
    server s2 {s2}
`, "page", page, "port", port, "s1", first.Addr, "s2", second.Addr)
			op := tool.take(t, p, page)
			greets := func() (*testutil.Conn, string) {
				t.Helper()
				c := dial(t, port)
				text := make([]byte, 8)
				if _, err := io.ReadFull(c, text); err != nil {
					t.Fatal(err)
				}
				return c, strings.TrimSpace(string(text))
			}
			reaches := func(want string) *testutil.Conn {
				t.Helper()
				for range 10 {
					c, got := greets()
					if got == want {
						return c
					}
					c.Close()
				}
				t.Fatalf("ten sessions, none reached %q", want)
				return nil
			}

			busy := reaches("one, old")
			op.reads("s1", "UP")
			op.state("s1", "drain")
			for range 6 {
				if c, got := greets(); got != "two" {
					t.Errorf("a new session reached %q while s1 was drained", got)
				} else {
					c.Close()
				}
			}
			busy.Send("still here")
			busy.Expect("still here")
			busy.Close()

			first.Close()
			op.reads("s1", `DOWN(?s:.*)Connection refused`)
			p.log.WaitLine(t, `Server l/s1 is DOWN, reason: Layer4 connection problem, info: .*Connection refused`)
			testutil.ServeOn(t, first.Addr, greeting("one, new"))
			op.reads("s1", "DRAIN")
			op.state("s1", "ready")
			reaches("one, new").Close()

			op.weigh("s1", 4)
			count := map[string]int{}
			for range 20 {
				c, got := greets()
				count[got]++
				c.Close()
			}
			if n := count["one, new"]; n < 15 || n > 17 {
				t.Errorf("with weights of 4 and 1 the sessions went to %v", count)
			}

			stuck, fine := reaches("one, new"), reaches("one, new")
			op.ends(fmt.Sprintf("127.0.0.1:%d", stuck.Port()), "s1")
			stuck.ExpectClosed()
			p.logged(stuck, `l l/s1 \S+ \d+ K.*`)
			fine.Send("still here")
			fine.Expect("still here")
		})
	}
}
