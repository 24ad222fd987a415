package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// browser is a Chromium without a window, driven over the WebDriver protocol (https://www.w3.org/TR/webdriver2/).
type browser struct {
	tb      testing.TB
	session string // address of its session
	client  http.Client
}

// browserPatience bounds one command. Starting a browser takes seconds on a busy machine.
const browserPatience = 2 * time.Minute

func startBrowser(tb testing.TB) *browser {
	tb.Helper()
	driver, chromium := testutil.Need(tb, "chromedriver"), testutil.Need(tb, "chromium")
	dir, err := os.MkdirTemp("", "pst")
	if err != nil {
		tb.Fatal(err)
	}
	// Its last processes write there for a moment after the session has ended.
	tb.Cleanup(func() {
		testutil.Eventually(tb, "the browser is gone", func() bool { return os.RemoveAll(dir) == nil })
	})
	port := testutil.FreePort(tb)
	cmd := exec.Command(driver, fmt.Sprintf("--port=%d", port))
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
	testutil.Start(tb, cmd)
	b := &browser{tb: tb, client: http.Client{Timeout: browserPatience, Transport: &http.Transport{DisableKeepAlives: true}}}
	address := "http://" + testutil.Loopback(port)
	testutil.Eventually(tb, "the driver is ready", func() bool {
		response, err := b.client.Get(address + "/status")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	var created struct{ SessionID string }
	b.session = address + "/session"
	b.command("", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": map[string]any{"binary": chromium, "args": []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir=" + dir + "/profile",
		}},
		"goog:loggingPrefs": map[string]string{"performance": "ALL", "browser": "ALL"},
	}}}, &created)
	b.session += "/" + created.SessionID
	tb.Cleanup(func() {
		request, err := http.NewRequest(http.MethodDelete, b.session, nil)
		if err != nil {
			tb.Fatal(err)
		}
		response, err := b.client.Do(request)
		if err != nil {
			tb.Errorf("end the browser: %v", err)
			return
		}
		response.Body.Close()
	})
	return b
}

// command sends one and reads what it answers into value.
func (b *browser) command(path string, arguments, value any) {
	b.tb.Helper()
	if err := b.try(path, arguments, value); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *browser) try(path string, arguments, value any) error {
	body, err := json.Marshal(arguments)
	if err != nil {
		return err
	}
	response, err := b.client.Post(b.session+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ Value json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, answer.Value)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, value)
}

func (b *browser) open(url string) {
	b.tb.Helper()
	b.command("/url", map[string]string{"url": url}, nil)
}

// run runs a script in the page.
func (b *browser) run(script string, value any) {
	b.tb.Helper()
	b.command("/execute/sync", map[string]any{"script": script, "args": []any{}}, value)
}

// await waits until an expression is true in the page. While another page is loaded there is none to ask.
func (b *browser) await(expression string) {
	b.tb.Helper()
	testutil.Eventually(b.tb, expression, func() bool {
		holds := false
		err := b.try("/execute/sync", map[string]any{"script": "return !!(" + expression + ")", "args": []any{}}, &holds)
		return err == nil && holds
	})
}

// emulate gives a command of the browser's own protocol.
func (b *browser) emulate(command string, parameters any) {
	b.tb.Helper()
	b.command("/goog/cdp/execute", map[string]any{"cmd": command, "params": parameters}, nil)
}

// log are the entries of a log since it was last asked for.
func (b *browser) log(kind string) (messages []string) {
	b.tb.Helper()
	var entries []struct{ Message string }
	b.command("/se/log", map[string]string{"type": kind}, &entries)
	for _, e := range entries {
		messages = append(messages, e.Message)
	}
	return messages
}

// requested are the addresses that pages of a site asked for.
func (b *browser) requested(site string) (urls []string) {
	b.tb.Helper()
	for _, message := range b.log("performance") {
		var event struct {
			Message struct {
				Method string
				Params struct {
					DocumentURL string
					Request     struct{ URL string }
				}
			}
		}
		if err := json.Unmarshal([]byte(message), &event); err != nil {
			b.tb.Fatal(err)
		}
		if event.Message.Method == "Network.requestWillBeSent" && strings.HasPrefix(event.Message.Params.DocumentURL, site) {
			urls = append(urls, event.Message.Params.Request.URL)
		}
	}
	return urls
}

// shows is an expression that says what a row's state is.
func shows(row, state string) string {
	return fmt.Sprintf(`document.getElementById(%q).querySelector(".pill").textContent === %q`, row, state)
}

const browserSections = `
listen page
    mode http
    bind {page}
    stats uri /stats
    stats admin if LOCALHOST
listen l
    bind {tcp}
    server here {server} check inter 50ms
    server going {going} check inter 50ms fall 1
    server a-server-with-a-name-that-is-too-long-for-any-phone-and-has-no-place-to-break.example.net {server}
`

// The page as somebody sees it: it shows what happens without being loaded again, asks nobody else for anything, changes
// servers, and does not let another page do that.
func TestPageInBrowser(t *testing.T) {
	t.Parallel()
	skipForeign(t, "has a page of its own")
	b := startBrowser(t)
	page, going := testutil.Loopback(testutil.FreePort(t)), testutil.Listen(t)
	tcp := testutil.FreePort(t)
	greeter := testutil.Serve(t, func(c *testutil.Conn) { _, _ = c.Read(make([]byte, 1)) })
	p := start(t, browserSections, "page", page, "tcp", testutil.Loopback(tcp), "server", greeter.Addr, "going", going.Addr)
	site := "http://" + page

	b.open(site + "/stats")
	b.await(shows("l/going", "UP"))
	b.run("window.loadedOnce = true", nil)
	going.Close()
	b.await(shows("l/going", "DOWN"))
	b.await(`document.getElementById("l/going").querySelector(".why").textContent.includes("refused")`)
	b.await(`document.querySelector(".trouble").textContent.includes("l/going") && document.title.includes("1 in trouble")`)
	b.await(`document.getElementById("live").textContent.startsWith("live")`)

	// A tick outlives updates.
	b.run(`document.querySelector("input[value=here]").click();
		document.getElementById("l").querySelector("select").value = "maint";
		window.before = performance.getEntriesByType("resource").length`, nil)
	b.await(`performance.getEntriesByType("resource").length > window.before + 1`)
	b.await(`window.loadedOnce && document.querySelector("input[value=here]").checked`)
	b.run(`document.getElementById("l").querySelector("button").click()`, nil)
	b.await(`!window.loadedOnce && location.pathname === "/stats;st=DONE" && document.querySelector(".banner.done")`)
	b.await(shows("l/here", "MAINT"))
	p.log.WaitLine(t, `Page page: 127.0.0.1:\d+ asked for 'set server l/here state maint': done`)

	// Sessions, and the end of one.
	client := dial(t, tcp)
	b.open(site + "/stats;sessions")
	b.await(fmt.Sprintf(`document.querySelector("tr.session").textContent.includes("127.0.0.1:%d")`, client.Port()))
	b.run(`document.querySelector("tr.session input").click(); document.querySelector("form button").click()`, nil)
	b.await(`location.pathname === "/stats;st=DONE;sessions" && document.querySelector("main") && !document.querySelector("tr.session")`)
	client.ExpectClosed()

	// On a phone nothing has to be moved sideways, and the dark has other colours.
	b.emulate("Emulation.setDeviceMetricsOverride", map[string]any{"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true})
	var colours [2]string
	for i, scheme := range []string{"light", "dark"} {
		b.emulate("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}})
		for _, path := range []string{"/stats;sessions", "/stats"} {
			b.open(site + path)
			var wide, width int
			b.run("return document.documentElement.scrollWidth", &wide)
			b.run("return innerWidth", &width)
			if wide > 360 || width != 360 {
				t.Errorf("%s is %d wide in %d", path, wide, width)
			}
		}
		b.run("return getComputedStyle(document.body).backgroundColor", &colours[i])
	}
	if colours[0] == colours[1] {
		t.Errorf("light and dark are both %s", colours[0])
	}
	urls := b.requested(site)
	if len(urls) < 6 {
		t.Errorf("only %d requests are known", len(urls))
	}
	for _, url := range urls {
		if !strings.HasPrefix(url, site+"/stats") && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asked for %s", url)
		}
	}
	if messages := b.log("browser"); len(messages) > 0 {
		t.Errorf("the browser complains: %q", messages)
	}

	// A page of somebody else, from another site and from another port of this one.
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<form method="post" action="%s/stats"><input name="b" value="l"><input name="s" value="here">`+
			`<input name="action" value="ready"></form><script>document.forms[0].submit()</script>`, site)
	}))
	t.Cleanup(evil.Close)
	for _, from := range []string{evil.URL, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)} {
		b.open(from)
		b.await(`document.body.textContent.includes("refused: it comes from another site")`)
		p.log.WaitLine(t, `Page page: a change asked for by 127.0.0.1:\d+ was refused`)
	}
	if answer, err := p.ask("show stat l 4 1"); err != nil || !strings.Contains(answer, ",MAINT,") {
		t.Errorf("%v %s", err, answer)
	}
}
