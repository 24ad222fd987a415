package top

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// Each view on a wide and on a narrow terminal, and what stands over it.
func TestViews(t *testing.T) {
	for _, test := range []struct {
		name          string
		view          View
		width, height int
		prepare       func(m *Model)
	}{
		{"overview", Overview, 120, 16, nil},
		{"overview-narrow", Overview, 60, 9, func(m *Model) { typed(m, "\x1b[F") }},
		{"frontends", Frontends, 120, 8, nil},
		{"backends", Backends, 140, 8, nil},
		{"servers", Servers, 170, 10, nil},
		{"servers-80", Servers, 80, 24, nil},
		{"servers-filtered", Servers, 100, 10, func(m *Model) { typed(m, ">>R/s[12]\r") }},
		{"servers-plain", Servers, 80, 9, func(m *Model) { m.Plain = true; typed(m, ">>R") }},
		{"servers-lost", Servers, 80, 9, func(m *Model) { m.Lose(errors.New("dial unix /x: connect: no such file\x1b[2J")) }},
		{"sessions", Sessions, 140, 9, nil},
		{"sessions-80", Sessions, 80, 9, nil},
		{"sessions-refused", Sessions, 80, 9, func(m *Model) { m.sample.Refusal = "Permission denied" }},
		{"server", Servers, 100, 20, func(m *Model) { typed(m, "\x1b[B\r") }},
		{"server-asked", Servers, 100, 20, func(m *Model) { typed(m, "\x1b[B\x1b[B\rd") }},
		{"session", Sessions, 120, 18, func(m *Model) {
			typed(m, "\r")
			m.sample.Detail = strings.Split(strings.TrimSpace(mustRead(t, "detail.txt")), "\n")
		}},
		{"help", Overview, 80, 24, func(m *Model) { typed(m, "?") }},
		{"help-plain-scrolled", Overview, 80, 10, func(m *Model) { m.Plain = true; typed(m, "?\x1b[6~\x1b[A") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := mustModel(t, test.view)
			if test.prepare != nil {
				test.prepare(m)
			}
			checkGolden(t, test.name, text(m.Render(test.width, test.height)))
		})
	}
}

func TestPage(t *testing.T) {
	m := mustModel(t, Overview)
	checkGolden(t, "page", text(m.Page(0)))
	m = NewModel(Servers, regexp.MustCompile("redis"))
	m.Update(mustSample(t, 0)) // no rates yet
	checkGolden(t, "page-first", text(m.Page(100)))
}

// The screen is full, and nothing stands over its edges, however small it is.
func TestRenderFits(t *testing.T) {
	for view := range views {
		for _, keys := range []string{"", "?", "\r", "/x", "d", "w1"} {
			m := mustModel(t, view)
			typed(m, keys)
			for _, size := range [][2]int{{0, 0}, {1, 1}, {7, 3}, {20, 5}, {80, 24}, {300, 100}} {
				checkFits(t, m.Render(size[0], size[1]), size[0], size[1])
			}
		}
	}
	m := NewModel(Servers, nil)
	m.Target = "/x"
	if lines := m.Render(80, 24); !strings.Contains(text(lines), "waiting for /x") {
		t.Errorf("before the first sample:\n%s", text(lines))
	}
}

func checkFits(tb testing.TB, lines []Line, width, height int) {
	tb.Helper()
	if len(lines) != max(height, 1) {
		tb.Errorf("%d lines for a height of %d", len(lines), height)
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l.String()); n > max(width, 1) {
			tb.Errorf("%d characters for a width of %d: %q", n, width, l)
		}
	}
}

// The selected line stays on the same server when the table moves, and the table follows it.
func TestSelection(t *testing.T) {
	m := mustModel(t, Servers)
	typed(m, "\x1b[B\x1b[B") // be/s1
	typed(m, ">R")           // the last first
	if i, _ := m.chosen(); i.row.Name != "s1" || i.row.Proxy != "be" {
		t.Errorf("sorting selected %s/%s", i.row.Proxy, i.row.Name)
	}
	typed(m, "\x1b[1~")
	if i, _ := m.chosen(); i.row.Name != "r2" {
		t.Errorf("the first one is %s", i.row.Name)
	}
	m.Render(80, 7) // room for two
	typed(m, "\x1b[F")
	if shown := text(m.Render(80, 7)); !strings.Contains(shown, "be/s1") || strings.Contains(shown, "redis/r2") || !strings.Contains(shown, "3-4 of 4") {
		t.Errorf("not where it is:\n%s", shown)
	}
}

func TestSort(t *testing.T) {
	m := mustModel(t, Servers)
	if !m.Sort("cur", false) {
		t.Fatal("no such column")
	}
	if items := m.items(); items[0].row.Name != "s1" || items[0].row.Proxy != "be" {
		t.Errorf("the greatest is %v", items[0].key)
	}
	if m.Sort("ADDRESS ", true) || !m.Sort("Address", true) {
		t.Error("columns by name")
	}
	if m = mustModel(t, Frontends); m.Sort("address", false) {
		t.Error("frontends have no addresses")
	}
	for v := range views {
		if named, ok := ViewNamed(v.String()); named != v || !ok || len(ColumnNames(v)) < 10 {
			t.Errorf("view %v: %v, %v", v, named, ok)
		}
	}
	if _, ok := ViewNamed("x"); ok {
		t.Error("a view that there is not")
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{count(-1), "-"},
		{count(0), "0"},
		{count(99_999), "99999"},
		{count(100_000), "100k"},
		{count(1_234_567), "1.2M"},
		{count(1 << 62), "4.6E"},
		{size(1023), "1023"},
		{size(1024), "1.0K"},
		{size(102_349), "100K"},
		{size(3 << 30), "3.0G"},
		{span(-1), "-"},
		{span(59), "59s"},
		{span(61), "1m01s"},
		{span(3 * 3600), "3h00m"},
		{span(100 * 3600), "4d04h"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}
