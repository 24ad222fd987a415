package runtimeapi

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/internal/testutil"
)

func TestPayload(t *testing.T) {
	opt := testOptions
	opt.Commands = []Command{{
		Words: []string{"thing"}, Usage: "thing", Run: func(r *Request) { r.Reply("%q %q", r.Args, r.Payload) },
	}}
	s := mustListen(t, opt, bindUnix(filepath.Join(t.TempDir(), "s")))
	for _, test := range []struct{ send, want string }{
		{"thing <<\na\nb;c\n\n", "[] \"a\\nb;c\\n\"\n\n"},
		{"thing x  <<  \na\n\n", "[\"x\"] \"a\\n\"\n\n"},
		{"thing <<\n\n", "[] \"\"\n\n"},
		{"thing <<\na\n", ""},
		{"thing <<EOF\na\n\nEO\nEOF\n", "[] \"a\\n\\nEO\\n\"\n\n"},
		{"thing 1;thing 2 <<\na\n\n", "[\"1\"] \"\"\n\n[\"2\"] \"a\\n\"\n\n"},
		{"thing << ; thing\na\n", "[\"<<\"] \"\"\n\n[] \"\"\n\n"},
		{"prompt\nthing <<\na\nb\n\nthing\n", "\n> + + + [] \"a\\nb\\n\"\n\n> [] \"\"\n\n> "},
		{"thing <<" + strings.Repeat("x", 65) + "\n", errPatternTooLong.Error() + "\n\n"},
		{"thing <<\n" + strings.Repeat(strings.Repeat("x", 99)+"\n", 2000), errPayloadTooBig.Error() + "\n\n"},
		{"thing <<\n" + strings.Repeat("x", 20000) + "\n", errPayloadTooBig.Error() + "\n\n"},
	} {
		if diff := cmp.Diff(test.want, mustAsk(t, mustDial(t, s), test.send)); diff != "" {
			t.Errorf("%.40q: %s", test.send, diff)
		}
	}
}

func TestModes(t *testing.T) {
	opt := testOptions
	run := func(r *Request) { r.Message(SeverityNotice, "done") }
	opt.Commands = []Command{
		{Words: []string{"deep"}, Usage: "deep", Expert: true, Run: run},
		{Words: []string{"new"}, Usage: "new", Experimental: true, Run: run},
	}
	s := mustListen(t, opt, bindUnix(filepath.Join(t.TempDir(), "s")))
	for line, want := range map[string]string{
		"expert-mode;experimental-mode":          "expert-mode is OFF\n\nexperimental-mode is OFF\n\n",
		"expert-mode on;expert-mode;deep;new":    "\nexpert-mode is ON\n\ndone\n\nThis command is restricted to experimental mode only.\n\n",
		"experimental-mode on;new;deep":          "\ndone\n\nThis command is restricted to expert mode only.\n\n",
		"expert-mode on;expert-mode off;deep":    "\n\nThis command is restricted to expert mode only.\n\n",
		"expert-mode what":                       "\n",
		"operator;expert-mode on":                "\nPermission denied\n\n",
		"set severity-output string;expert-mode": "\n[info]: expert-mode is OFF\n\n",
		"set severity-output number;expert-mode on;deep;set severity-output string;deep": "\n\n[5]: done\n\n\n[notice]: done\n\n",
	} {
		if diff := cmp.Diff(want, mustAsk(t, mustDial(t, s), line+"\n")); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
}

// A long answer to a client that does not read waits for it, in bounded memory, until the timeout; one that reads gets all of it.
func TestLongAnswer(t *testing.T) {
	const all = 64 << 20
	piece := bytes.Repeat([]byte("x"), 4096)
	taken := make(chan int, 1)
	opt := testOptions
	opt.Timeout = 100 * time.Millisecond
	opt.Commands = []Command{{Words: []string{"flood"}, Usage: "flood", Run: func(r *Request) {
		sum := 0
		for range all / len(piece) {
			if _, err := r.Write(piece); err != nil {
				break
			}
			sum += len(piece)
		}
		taken <- sum
	}}}
	s := mustListen(t, opt, bindUnix(filepath.Join(t.TempDir(), "s")))
	deaf := mustDial(t, s)
	if _, err := io.WriteString(deaf, "flood;flood\n"); err != nil {
		t.Fatal(err)
	}
	if n := <-taken; n > 16<<20 {
		t.Errorf("%d bytes were taken for a client that reads nothing", n)
	}
	testutil.Eventually(t, "the session is over", func() bool { return len(s.slots) <= 1 }) // one is the next client's
	reading := mustDial(t, s)
	if _, err := io.WriteString(reading, "flood\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, reading); err != nil || n != all+1 {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if n := <-taken; n != all {
		t.Errorf("%d bytes were taken", n)
	}
}

// Who sends a byte now and then but no line does not keep a session.
func TestSlowWriter(t *testing.T) {
	opt := testOptions
	opt.Timeout = 50 * time.Millisecond
	s := mustListen(t, opt, bindUnix(filepath.Join(t.TempDir(), "s")))
	conn := mustDial(t, s)
	go func() {
		for {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if answer, err := io.ReadAll(conn); err == nil && len(answer) != 0 {
		t.Errorf("got %q", answer)
	}
	conn.Close()
}

// What is no text is refused like any other word, and does not reach the operator's terminal.
func TestBinary(t *testing.T) {
	s := mustListen(t, testOptions, bindUnix(filepath.Join(t.TempDir(), "s")))
	got := mustAsk(t, mustDial(t, s), "\x00\x1b[2J\xff\x80"+strings.Repeat("y", 200)+"\n")
	if want := "Unknown command: '??[2J??" + strings.Repeat("y", 57) + "...'. "; !strings.HasPrefix(got, want) {
		t.Errorf("answer %.120q, want %q", got, want)
	}
}

// A thousand connections take no more than the sessions that are allowed; afterwards all is as before.
func TestThousandConnections(t *testing.T) {
	opt := testOptions
	opt.Timeout = time.Hour
	path := filepath.Join(t.TempDir(), "s")
	s := mustListen(t, opt, bindUnix(path))
	var conns []net.Conn
	refused := 0
	for range 1000 {
		conn, err := net.Dial("unix", path)
		if err != nil { // the queue of the socket is full
			refused++
			continue
		}
		conns = append(conns, conn)
	}
	if len(s.slots) > defaultMaxConn {
		t.Errorf("%d sessions", len(s.slots))
	}
	if refused == 0 {
		t.Logf("the kernel queued all connections")
	}
	for _, conn := range conns {
		conn.Close()
	}
	testutil.Eventually(t, "the next client is answered", func() bool {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return false
		}
		defer conn.Close()
		return mustAsk(t, conn, "show version\n") == testOptions.Version+"\n\n"
	})
}
