package top

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Style is how a piece of text looks.
type Style int

// The styles. A terminal without colours shows Good, Warn and Bad by weight.
const (
	Plain Style = iota
	Dim
	Strong
	Heading
	Selected
	Good
	Warn
	Bad
)

// Span is a piece of a line.
type Span struct {
	Style Style
	Text  string
}

// Line is one of the screen.
type Line []Span

// String is the line without styles.
func (l Line) String() string {
	var text strings.Builder
	for _, s := range l {
		text.WriteString(s.Text)
	}
	return strings.TrimRight(text.String(), " ")
}

func plain(text string) Line { return Line{{Plain, text}} }

// unlimited is the width of a page that nobody folds.
const unlimited = 1 << 20

// Render makes the screen: height lines, none longer than width.
func (m *Model) Render(width, height int) []Line {
	width, height = max(width, 1), max(height, 1)
	lines := m.header(width)
	room := max(height-len(lines)-1, 0)
	m.page = max(room-1, 1)
	var body []Line
	switch {
	case m.mode == helping:
		body = m.window(help(m.Plain), room)
	case m.sample == nil:
		body = []Line{plain("waiting for " + m.Target)}
	case m.looking():
		body = m.window(m.detail(), room)
	default:
		body = m.table(width, room)
	}
	lines = append(lines, body...)
	for len(lines) < height-1 {
		lines = append(lines, nil)
	}
	lines = append(lines[:min(len(lines), height-1)], m.footer())
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return lines
}

// Page is the view as it is printed, with all items and no matter how long the lines get.
func (m *Model) Page(width int) []Line {
	if width <= 0 {
		width = unlimited
	}
	lines := m.process()
	if m.sample.Refusal != "" && m.view == Sessions {
		return append(lines, plain("show sess: "+m.sample.Refusal))
	}
	columns, widths := m.fit(m.items(), width)
	lines = append(lines, m.titles(columns, widths))
	for _, i := range m.items() {
		lines = append(lines, cells(&i, columns, widths, false))
	}
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return lines
}

// process are two lines about the process.
func (m *Model) process() []Line {
	info := m.sample.Info
	name := info["Name"] + " " + info["Version"]
	if build := strings.Fields(info["Build info"]); len(build) > 1 && build[0] == "penstock" {
		name = build[0] + " " + build[1]
	}
	first := fmt.Sprintf("%s on %s, process %s, up %s, %s threads", name, info["node"], info["Pid"], info["Uptime"], info["Nbthread"])
	if info["Stopping"] == "1" {
		first += ", STOPPING"
	}
	second := fmt.Sprintf("connections %d of %d, %d/s (limit reached %d times)  idle %d%%  out %s/s  pipes %d  memory %s",
		info.Number("CurrConns"), info.Number("Maxconn"), info.Number("ConnRate"), info.Number("MaxconnReached"), info.Number("Idle_pct"),
		size(m.outRate()), info.Number("PipesUsed"), size(info.Number("PoolUsed_bytes")))
	if dropped := info.Number("DroppedLogs"); dropped > 0 {
		second += fmt.Sprintf("  log lines dropped %d", dropped)
	}
	return []Line{{{Strong, first}}, plain(second)}
}

// outRate is how many bytes the process sends in a second: since the last sample, else as it says itself.
func (m *Model) outRate() int64 {
	if f := m.flows[wholeKey]; f.outRate != none {
		return f.outRate
	}
	return m.sample.Info.Number("BytesOutRate")
}

// header is what stands above every view.
func (m *Model) header(width int) []Line {
	var lines []Line
	if m.sample != nil {
		lines = m.process()
	}
	var tabs Line
	for v := range views {
		style, text := Dim, fmt.Sprintf(" %d %s ", v+1, v)
		if v == m.view {
			style, text = Heading, fmt.Sprintf("[%d %s]", v+1, v)
		}
		tabs = append(tabs, Span{style, text})
	}
	if m.view == Sessions && m.of != nil {
		tabs = append(tabs, Span{Plain, "  of " + m.of.Proxy + "/" + m.of.Name})
	}
	if m.filter != nil {
		tabs = append(tabs, Span{Plain, "  filter: " + clean(m.filter.String())})
	}
	return append(lines, cut(tabs, width))
}

// footer is the line at the bottom.
func (m *Model) footer() Line {
	prompt := m.prompt()
	switch {
	case m.status != "" && m.bad:
		prompt = strings.TrimSpace(prompt + "  " + m.status)
		return Line{{Bad, prompt}}
	case prompt != "":
		return Line{{Strong, prompt}}
	case m.lost != "":
		return Line{{Bad, "no connection, trying again: " + m.lost}}
	case m.status != "":
		return plain(m.status)
	case m.mode == helping:
		return Line{{Dim, "Enter: back"}}
	case m.mode == looking:
		return Line{{Dim, "Enter: back" + m.orderKeys()}}
	}
	text := m.part + "?: help  q: quit  /: filter  < >: sort  Enter: detail" + m.orderKeys()
	if m.sample != nil && m.sample.Cut {
		text = "not all sessions are shown; choose a server's with s  " + text
	}
	return Line{{Dim, text}}
}

// orderKeys names the keys for orders.
func (m *Model) orderKeys() string {
	if m.view == Sessions {
		return "  k: shut down"
	}
	return "  d: drain  m: maint  r: ready  w: weight"
}

// window is the part of a long text that fits.
func (m *Model) window(lines []Line, room int) []Line {
	m.scroll = min(m.scroll, max(len(lines)-room, 0))
	return lines[m.scroll:min(m.scroll+room, len(lines))]
}

// table is the present view in so many lines.
func (m *Model) table(width, room int) []Line {
	if m.view == Sessions && m.sample.Refusal != "" {
		return []Line{{{Bad, "show sess: " + m.sample.Refusal}}}
	}
	items := m.items()
	at, shown := m.position(items), max(room-1, 1)
	first := m.first[m.view]
	first = max(min(first, at, len(items)-shown), at-shown+1, 0)
	m.first[m.view] = first
	columns, widths := m.fit(items, width)
	lines := []Line{m.titles(columns, widths)}
	m.part = part(first, shown, len(items))
	for n, i := range items[first:min(first+shown, len(items))] {
		lines = append(lines, cells(&i, columns, widths, first+n == at))
	}
	if len(items) == 0 {
		lines = append(lines, Line{{Dim, "nothing"}})
	}
	return lines
}

// fit chooses the columns that a width has room for, and how wide each is.
func (m *Model) fit(items []item, width int) (columns []column, widths []int) {
	columns = append(columns, tables[m.view]...)
	sorted := ""
	if o := m.orders[m.view]; o.column >= 0 {
		sorted = columns[o.column].title
	}
	for _, c := range columns {
		w := len(c.title)
		if c.title == sorted {
			w++ // the mark
		}
		for i := range items {
			w = max(w, len(c.text(&items[i])))
		}
		widths = append(widths, w)
	}
	for {
		sum, last := -1, 0
		for i, w := range widths {
			if columns[i].wide {
				w = min(w, 14) // it is cut where the screen ends
			}
			sum += w + 1
			if columns[i].drop >= columns[last].drop {
				last = i
			}
		}
		if sum <= width || columns[last].drop == 0 {
			return columns, widths
		}
		columns = append(columns[:last], columns[last+1:]...)
		widths = append(widths[:last], widths[last+1:]...)
	}
}

// titles is the line above a table, with a mark at what sorts it.
func (m *Model) titles(columns []column, widths []int) Line {
	o := m.orders[m.view]
	var text strings.Builder
	for i, c := range columns {
		title := c.title
		if o.column >= 0 && tables[m.view][o.column].title == title {
			title += m.mark(o.reverse)
		}
		text.WriteString(pad(title, widths[i], c.left) + " ")
	}
	return Line{{Heading, strings.TrimRight(text.String(), " ")}}
}

func (m *Model) mark(reverse bool) string {
	switch {
	case m.Plain && reverse:
		return "^"
	case m.Plain:
		return "v"
	case reverse:
		return "▲"
	}
	return "▼"
}

// cells is the line of one item.
func cells(i *item, columns []column, widths []int, selected bool) Line {
	var line Line
	for n, c := range columns {
		style := Plain
		switch {
		case selected:
			style = Selected
		case c.style != nil:
			style = c.style(i)
		}
		line = append(line, Span{style, pad(c.text(i), widths[n], c.left) + " "})
	}
	return line
}

func pad(text string, width int, left bool) string {
	space := strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
	if left {
		return text + space
	}
	return space + text
}

// cut shortens a line to a width.
func cut(line Line, width int) Line {
	for i, s := range line {
		if n := utf8.RuneCountInString(s.Text); n > width {
			runes := []rune(s.Text)
			line[i].Text = string(runes[:width])
			return line[:i+1]
		} else {
			width -= n
		}
	}
	return line
}

// part says which lines there are of all, when not all fit.
func part(first, shown, all int) string {
	if shown >= all {
		return ""
	}
	return fmt.Sprintf("%d-%d of %d  ", first+1, first+shown, all)
}
