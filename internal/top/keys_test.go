package top

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecode(t *testing.T) {
	for input, want := range map[string]struct {
		keys []key
		rest string
	}{
		"aé":                              {[]key{'a', 'é'}, ""},
		"\x1b[A\x1bOB":                    {[]key{keyUp, keyDown}, ""},
		"\x1b[5~\x1b[1;5A":                {[]key{keyPageUp, keyUnknown}, ""},
		"\x1b":                            {nil, "\x1b"},
		"x\x1b[5":                         {[]key{'x'}, "\x1b[5"},
		"\x1bx":                           {[]key{keyEscape, 'x'}, ""},
		"\x1b\x1b[A":                      {[]key{keyEscape, keyUp}, ""},
		"\n\r\b\x7f":                      {[]key{keyEnter, keyEnter, keyBackspace, keyBackspace}, ""},
		"\xc3":                            {nil, "\xc3"},
		"\xff\x03":                        {[]key{keyUnknown, keyCtrlC}, ""},
		"\x1b[" + strings.Repeat("1", 50): {nil, ""},
	} {
		keys, rest := decode([]byte(input))
		if diff := cmp.Diff(want.keys, keys); diff != "" || string(rest) != want.rest {
			t.Errorf("%q: %v, rest %q", input, keys, rest)
		}
	}
}

func TestKeys(t *testing.T) {
	const down = "\x1b[B"
	for _, test := range []struct {
		view  View
		keys  string
		want  effect
		mode  mode
		shown string // on the screen
	}{
		{Servers, "q", effect{quit: true}, browsing, ""},
		{Servers, "\x03", effect{quit: true}, browsing, ""},
		{Servers, "/\x03", effect{quit: true}, filtering, ""},
		{Servers, "\x0c", effect{repaint: true}, browsing, ""},
		{Servers, " ", effect{refresh: true}, browsing, ""},
		{Servers, "5", effect{refresh: true}, browsing, "[5 sessions]"},
		{Servers, "\t", effect{refresh: true}, browsing, "[5 sessions]"},
		{Servers, "\t\t", effect{}, browsing, "[1 overview]"},
		{Servers, "\x1b[Z", effect{}, browsing, "[3 backends]"},
		{Servers, down + down + "d", effect{}, asking, "drain be/s1? [y/N]"},
		{Servers, down + down + "dy", effect{command: "set server be/s1 state drain", name: "drain be/s1"}, browsing, ""},
		{Servers, down + down + "dn", effect{}, browsing, "not done"},
		{Servers, down + down + "d\r", effect{}, browsing, "not done"},
		{Servers, down + down + "d\x1b", effect{}, browsing, "not done"},
		{Servers, "my", effect{command: "set server redis/r1 state maint", name: "maint redis/r1"}, browsing, ""},
		{Servers, "rY", effect{command: "set server redis/r1 state ready", name: "ready redis/r1"}, browsing, ""},
		{Servers, "w", effect{}, weighing, "weight of redis/r1 (0-256 or a percentage):"},
		{Servers, "w5x\x7f5%%0\r", effect{}, asking, "weight of redis/r1 = 5%? [y/N]"},
		{Servers, "w5\ry", effect{command: "set server redis/r1 weight 5", name: "weight of redis/r1 = 5"}, browsing, ""},
		{Servers, "w5\x1b", effect{}, browsing, ""},
		{Servers, "w%\r", effect{}, browsing, ""},
		{Servers, "k", effect{}, browsing, "that is for a session"},
		{Overview, "d", effect{}, browsing, "that is for a server"},
		{Overview, down + "dy", effect{command: "set server redis/r1 state drain", name: "drain redis/r1"}, browsing, ""},
		{Sessions, "k", effect{}, asking, "shut down session 0x40000000 of 127.0.0.1:"},
		{Sessions, "d", effect{}, browsing, ""},
		{Servers, "\r", effect{}, looking, "server redis/r1 at"},
		{Servers, "\rdy", effect{command: "set server redis/r1 state drain", name: "drain redis/r1"}, looking, ""},
		{Servers, "\rw7\ry", effect{command: "set server redis/r1 weight 7", name: "weight of redis/r1 = 7"}, looking, ""},
		{Servers, "\r\r", effect{}, browsing, "SERVER"},
		{Servers, "\rq", effect{}, browsing, "SERVER"},
		{Overview, "\r", effect{}, browsing, "PROXY"},
		{Sessions, "\r", effect{refresh: true}, looking, "session 0x40000000 of"},
		{Sessions, "\r\x1b", effect{refresh: true}, browsing, "CLIENT"},
		{Servers, "?", effect{}, helping, "drain a server"},
		{Servers, "?x", effect{}, browsing, "SERVER"},
		{Servers, "/s2\r", effect{}, browsing, "filter: s2"},
		{Servers, "/s2\r\x1b", effect{}, browsing, "redis/r1"},
		{Servers, "/s2\r/x\x1b", effect{}, browsing, "filter: s2"},
		{Servers, "/s2\r/\x15\r", effect{}, browsing, "redis/r1"},
		{Servers, "/[\r", effect{}, filtering, "no filter: error parsing regexp"},
		{Servers, "/nothing\rdy", effect{}, browsing, "nothing"},
		{Servers, "/nothing\r\r", effect{}, browsing, "nothing"},
		{Servers, "s", effect{refresh: true}, browsing, "of redis/r1"},
		{Servers, "s\x1b", effect{}, browsing, "[4 servers]"},
		{Servers, "\x1b[9~\x1b[6~\x1b[5~Gg", effect{}, browsing, "SERVER"},
	} {
		m := mustModel(t, test.view)
		m.Render(120, 24)
		got := typed(m, test.keys)
		if got != test.want || m.mode != test.mode {
			t.Errorf("%v %q: %+v, mode %d", test.view, test.keys, got, m.mode)
		}
		if shown := text(m.Render(120, 24)); !strings.Contains(shown, test.shown) {
			t.Errorf("%v %q: no %q in\n%s", test.view, test.keys, test.shown, shown)
		}
	}
}

// What an order is about does not change under the question.
func TestQuestionStays(t *testing.T) {
	m := mustModel(t, Servers)
	typed(m, "d")
	s := mustSample(t, 3)
	s.Rows = s.Rows[4:] // a reload took the backend
	m.Update(s)
	if e := typed(m, "y"); e.command != "set server redis/r1 state drain" {
		t.Errorf("%+v", e)
	}
}

// A name that would be more than a name is never in a command.
func TestNoCommandFromNames(t *testing.T) {
	for _, name := range []string{"s1;shutdown frontend fe", "a b", "s\n1", "s\\", "é", "<<"} {
		m := NewModel(Servers, nil)
		s := &Sample{Info: Info{"Pid": "1"}, Rows: []Row{{Proxy: "be", Name: clean(name), Kind: Server}}}
		m.Update(s)
		if typed(m, "s"); m.view != Servers {
			t.Errorf("%q: its sessions are asked for", name)
		}
		for _, keys := range []string{"d", "dy", "w5\ry"} {
			m.view = Servers
			if e := typed(m, keys); e.command != "" || m.mode != browsing {
				t.Errorf("%q: %+v", name, e)
			}
		}
	}
}

// No row of keys leads to anything but a well-formed command, and the screen always fits.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{"4\x1b[B\x1b[Bdy", "5ky", "4w10%\ry", "/a.*\r>>R<", "?\x1b[6~q", "4s\r\x1b\x1b", "\x1b[[\xff\x80"} {
		f.Add(seed)
	}
	command := regexp.MustCompile(`^(set server [\w.:-]+/[\w.:-]+ (state (drain|maint|ready)|weight \d{1,6}%?)|shutdown session 0x[0-9a-f]+)$`)
	f.Fuzz(func(t *testing.T, input string) {
		m := mustModel(t, Overview)
		keys, _ := decode([]byte(input))
		for _, k := range keys {
			if e := m.press(k); e.command != "" && !command.MatchString(e.command) {
				t.Fatalf("command %q", e.command)
			}
			checkFits(t, m.Render(60, 12), 60, 12)
			for _, q := range m.questions() {
				if strings.ContainsAny(q, ";\n\\<") {
					t.Fatalf("question %q", q)
				}
			}
		}
	})
}
