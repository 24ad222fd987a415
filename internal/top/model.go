package top

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// order is how a table is sorted: by a column, or as the process lists it.
type order struct {
	column  int // -1: as listed
	reverse bool
}

// Model is what the user has chosen and what there is to show. It knows no terminal. One goroutine uses it.
type Model struct {
	Plain  bool   // the terminal takes ASCII only
	Target string // the socket, for the user

	sample *Sample
	flows  map[string]flow
	lost   string // why there is no connection, empty when there is

	view     View
	orders   [views]order
	selected [views]string // keys of items
	first    [views]int    // item at the top of the screen
	part     string        // which of the items are on it, when not all are
	page     int           // lines of the table when it was last shown
	filter   *regexp.Regexp
	of       *Row // the sessions of this server only

	mode     mode
	back     mode   // where a question returns to
	typed    string // into the line at the bottom
	former   *regexp.Regexp
	wish     wish // what the user was asked about
	detailed item
	scroll   int // lines of a detail or of help above the screen

	status string
	bad    bool // the status is an error
}

// flow is how many bytes went in and out of something, and how many in a second between two samples.
type flow struct {
	in, out         int64
	inRate, outRate int64
	taken           time.Time
}

// wish is an order that waits for a yes.
type wish struct {
	question string
	command  string
}

// NewModel shows a view, with what matches filter (nil: all).
func NewModel(view View, filter *regexp.Regexp) *Model {
	m := &Model{view: view, filter: filter}
	for v := range m.orders {
		m.orders[v].column = -1
	}
	m.orders[Sessions] = order{columnNamed(Sessions, "AGE"), false}
	return m
}

// Sort sorts the views that have such a column by it, and tells whether the present one has.
func (m *Model) Sort(name string, reverse bool) bool {
	for v := range views {
		if i := columnNamed(v, name); i >= 0 {
			m.orders[v] = order{i, reverse}
		}
	}
	return columnNamed(m.view, name) >= 0
}

// Update takes a new sample. Rates are the differences to the one before, unless that was another process.
func (m *Model) Update(s *Sample) {
	same := m.sample != nil && m.sample.Info["Pid"] == s.Info["Pid"]
	flows := make(map[string]flow, len(s.Rows)+len(s.Sessions))
	if !s.Listed && m.view == Sessions && same { // one session was asked about: the list stays as it was
		s.Sessions = m.sample.Sessions
		for i := range s.Sessions {
			key := sessionKey(&s.Sessions[i])
			flows[key] = m.flows[key]
		}
	}
	note := func(key string, in, out int64) {
		f := flow{in, out, none, none, s.Taken}
		before, found := m.flows[key]
		if elapsed := s.Taken.Sub(before.taken).Seconds(); found && same && elapsed > 0 && before.in >= 0 && before.out >= 0 && in >= before.in && out >= before.out {
			f.inRate, f.outRate = int64(float64(in-before.in)/elapsed), int64(float64(out-before.out)/elapsed)
		}
		flows[key] = f
	}
	note(wholeKey, 0, s.Info.Number("TotalBytesOut"))
	for i := range s.Rows {
		r := &s.Rows[i]
		note(rowKey(r), r.n[bytesIn], r.n[bytesOut])
	}
	if s.Listed {
		for i := range s.Sessions {
			c := &s.Sessions[i]
			note(sessionKey(c), c.Up, c.Down)
		}
	}
	m.sample, m.flows, m.lost = s, flows, ""
	m.followDetail()
}

// followDetail finds what is looked at in a new sample. What is gone stays as it was.
func (m *Model) followDetail() {
	for _, i := range m.all(m.view) {
		if i.key == m.detailed.key {
			m.detailed = i
		}
	}
}

// Lose notes that the process does not answer.
func (m *Model) Lose(err error) { m.lost = clean(err.Error()) }

// Say puts something into the line at the bottom until the next key.
func (m *Model) Say(text string, bad bool) { m.status, m.bad = text, bad }

// questions are the commands whose answers the present view is made of.
func (m *Model) questions() []string {
	list := []string{"show info", "show stat"}
	switch {
	case m.view != Sessions:
	case m.looking():
		list = append(list, "show sess "+m.detailed.session.ID)
	case m.of != nil:
		list = append(list, "show sess server "+m.of.Proxy+"/"+m.of.Name)
	default:
		list = append(list, "show sess")
	}
	return list
}

func (m *Model) looking() bool { return m.mode == looking || m.mode == asking && m.back == looking }

const wholeKey = "" // of the process

func rowKey(r *Row) string         { return fmt.Sprintf("%d %s/%s", r.Kind, r.Proxy, r.Name) }
func sessionKey(s *Session) string { return s.ID + " " + s.Client }

// all are the items of a view, as the process lists them.
func (m *Model) all(v View) []item {
	if m.sample == nil {
		return nil
	}
	flowOf := func(key string) (in, out int64) {
		if f, ok := m.flows[key]; ok {
			return f.inRate, f.outRate
		}
		return none, none
	}
	var items []item
	if v == Sessions {
		for i := range m.sample.Sessions {
			it := item{key: sessionKey(&m.sample.Sessions[i]), session: &m.sample.Sessions[i]}
			it.in, it.out = flowOf(it.key)
			items = append(items, it)
		}
		return items
	}
	for i := range m.sample.Rows {
		r := &m.sample.Rows[i]
		if v == Frontends && r.Kind != Frontend || v == Backends && r.Kind != Backend || v == Servers && r.Kind != Server {
			continue
		}
		it := item{key: rowKey(r), row: r}
		it.in, it.out = flowOf(it.key)
		items = append(items, it)
	}
	return items
}

// items are those of the present view that match the filter, sorted.
func (m *Model) items() []item {
	columns, o := tables[m.view], m.orders[m.view]
	items := m.all(m.view)
	if m.filter != nil {
		items = slices.DeleteFunc(items, func(i item) bool { return !m.filter.MatchString(searched(columns, &i)) })
	}
	if o.column < 0 {
		return items
	}
	c := columns[o.column]
	slices.SortStableFunc(items, func(a, b item) int {
		order := 0
		if c.value != nil {
			order = cmp.Compare(c.value(&b), c.value(&a)) // the greatest first
		} else {
			order = strings.Compare(c.text(&a), c.text(&b))
		}
		if o.reverse {
			return -order
		}
		return order
	})
	return items
}

// searched is the text that a filter is held against: the words of a line.
func searched(columns []column, i *item) string {
	var text strings.Builder
	for _, c := range columns {
		if c.value == nil {
			text.WriteString(c.text(i) + " ")
		}
	}
	return text.String()
}

// chosen returns the selected item, the first one when that is gone; ok is false when there is none.
func (m *Model) chosen() (i item, ok bool) {
	items := m.items()
	if len(items) == 0 {
		return item{}, false
	}
	return items[m.position(items)], true
}

// position is where the selected item is.
func (m *Model) position(items []item) int {
	at := slices.IndexFunc(items, func(i item) bool { return i.key == m.selected[m.view] })
	return max(at, 0)
}

// move selects the item that is some lines away.
func (m *Model) move(lines int) {
	items := m.items()
	if len(items) == 0 {
		return
	}
	m.selected[m.view] = items[min(max(m.position(items)+lines, 0), len(items)-1)].key
}
