package top

import (
	"fmt"
	"strconv"
	"strings"
)

// View is one of the tables.
type View int

// The views, in the order of their keys.
const (
	Overview View = iota
	Frontends
	Backends
	Servers
	Sessions
	views
)

var viewNames = [views]string{"overview", "frontends", "backends", "servers", "sessions"}

func (v View) String() string { return viewNames[v] }

// ViewNamed returns the view of a name.
func ViewNamed(name string) (View, bool) {
	for v, n := range viewNames {
		if n == name {
			return View(v), true
		}
	}
	return 0, false
}

// item is what a line of a table is about: a row or a session.
type item struct {
	key     string
	row     *Row
	session *Session
	in, out int64 // bytes in the last second from clients and to them; none before they are known
}

// column is one of a table.
type column struct {
	title string
	drop  int // the greatest goes first when the screen is narrow; 0 stays
	left  bool
	wide  bool // takes what room there is; the last one of a table
	text  func(*item) string
	value func(*item) int64 // what sorts it; nil: the text
	style func(*item) Style // nil: plain
}

func words(title string, drop int, text func(*item) string) column {
	return column{title: title, drop: drop, left: true, text: text}
}

func numeric(title string, drop int, show func(int64) string, value func(*item) int64) column {
	return column{title: title, drop: drop, text: func(i *item) string { return show(value(i)) }, value: value}
}

func counter(title string, drop int, which ...number) column {
	return numeric(title, drop, count, func(i *item) int64 { return i.row.sum(which...) })
}

func inRate(drop int) column {
	return numeric("IN/s", drop, size, func(i *item) int64 { return i.in })
}

func outRate(drop int) column {
	return numeric("OUT/s", drop, size, func(i *item) int64 { return i.out })
}

var (
	proxyColumn  = words("PROXY", 0, func(i *item) string { return i.row.Proxy })
	statusColumn = column{title: "STATUS", left: true, text: func(i *item) string { return i.row.Status }, style: statusStyle}
	checkColumn  = words("CHECK", 5, func(i *item) string {
		if i.row.n[checkDuration] == none || i.row.CheckStatus == "" {
			return i.row.CheckStatus
		}
		return i.row.CheckStatus + " " + strconv.FormatInt(i.row.n[checkDuration], 10) + "ms"
	})
	reasonColumn  = column{title: "REASON", drop: 7, left: true, wide: true, text: func(i *item) string { return reason(i.row) }}
	addressColumn = words("ADDRESS", 10, func(i *item) string { return i.row.Address })
	sinceColumn   = numeric("SINCE", 6, span, func(i *item) int64 { return i.row.n[changed] })
	totalColumn   = counter("TOTAL", 9, total)
	maxColumn     = counter("MAX", 9, currentMax)
)

// tables are the columns of each view.
var tables = [views][]column{
	Overview: {
		proxyColumn, words("NAME", 0, func(i *item) string { return i.row.Name }), statusColumn, counter("CUR", 1, current), maxColumn,
		counter("LIMIT", 8, limit), counter("QUEUE", 4, queued), counter("RATE", 2, rate), inRate(3), outRate(3), totalColumn,
		counter("ERRORS", 5, requestErrors, connectErrors, responseErrors), reasonColumn,
	},
	Frontends: {
		proxyColumn, statusColumn, counter("CUR", 1, current), maxColumn, counter("LIMIT", 7, limit), counter("RATE", 2, rate),
		counter("MAXRATE", 10, rateMax), inRate(3), outRate(3), totalColumn,
		numeric("IN", 6, size, func(i *item) int64 { return i.row.n[bytesIn] }), numeric("OUT", 6, size, func(i *item) int64 { return i.row.n[bytesOut] }),
		counter("DENIED", 8, deniedIn, deniedConnections, deniedSessions), counter("ERRORS", 5, requestErrors),
	},
	Backends: {
		proxyColumn, statusColumn, counter("ACTIVE", 4, active), counter("BACKUP", 10, backups), counter("CUR", 1, current), maxColumn,
		counter("LIMIT", 11, limit), counter("QUEUE", 4, queued), counter("RATE", 2, rate), inRate(3), outRate(3), totalColumn,
		counter("ERRORS", 5, connectErrors, responseErrors), counter("RETRIES", 9, retries), counter("REDISP", 10, redispatches), sinceColumn,
		numeric("DOWNTIME", 9, span, func(i *item) int64 { return i.row.n[downtime] }),
		words("BALANCE", 12, func(i *item) string { return i.row.Algorithm }),
	},
	Servers: {
		words("SERVER", 0, func(i *item) string { return i.row.Proxy + "/" + i.row.Name }), statusColumn, checkColumn, sinceColumn,
		{title: "WEIGHT", drop: 8, text: weightText, value: func(i *item) int64 { return i.row.n[weight] }},
		counter("CUR", 1, current), maxColumn, counter("LIMIT", 8, limit), counter("QUEUE", 4, queued), counter("RATE", 2, rate), inRate(3), outRate(3),
		counter("ERRORS", 5, connectErrors, responseErrors), counter("RETRIES", 11, retries), addressColumn, reasonColumn,
	},
	Sessions: {
		words("ID", 6, func(i *item) string { return i.session.ID }),
		numeric("AGE", 1, span, func(i *item) int64 { return i.session.Age }),
		numeric("IDLE", 2, span, func(i *item) int64 { return i.session.Idle }),
		words("CLIENT", 0, func(i *item) string { return i.session.Client }),
		words("FRONTEND", 5, func(i *item) string { return i.session.Frontend }),
		words("SERVER", 0, func(i *item) string { return i.session.Backend + "/" + i.session.Server }),
		words("STATE", 4, func(i *item) string { return i.session.State }),
		words("WORKER", 9, func(i *item) string { return i.session.Worker }),
		words("MODE", 7, func(i *item) string { return i.session.Mode }),
		inRate(3),
		outRate(3),
		numeric("IN", 6, size, func(i *item) int64 { return i.session.Up }),
		numeric("OUT", 6, size, func(i *item) int64 { return i.session.Down }),
		words("QUEUED", 10, func(i *item) string { return i.session.Queued }),
	},
}

// columnNamed finds a column of a view by its title in any case, -1 when there is none.
func columnNamed(v View, name string) int {
	for i, c := range tables[v] {
		if strings.EqualFold(c.title, name) {
			return i
		}
	}
	return -1
}

// ColumnNames are the titles of a view's columns, as users may give them.
func ColumnNames(v View) []string {
	var names []string
	for _, c := range tables[v] {
		names = append(names, strings.ToLower(c.title))
	}
	return names
}

// statusStyle tells good states from bad ones and those on the way.
func statusStyle(i *item) Style {
	switch first, rest, _ := strings.Cut(i.row.Status, " "); {
	case first == "DOWN" && rest == "":
		return Bad
	case first == "UP" && rest == "", first == "OPEN":
		return Good
	case first == "no":
		return Plain
	}
	return Warn
}

// reason says why a server is as it is: what the check found, in words, and what the server or the system said. Of one that
// is well it is empty.
func reason(r *Row) string {
	if r.Kind != Server || r.Status == "UP" || r.Status == "no check" || strings.HasSuffix(r.CheckStatus, "OK") {
		return ""
	}
	switch {
	case r.CheckDesc == "":
		return r.LastCheck
	case r.LastCheck == "":
		return r.CheckDesc
	}
	return r.CheckDesc + ": " + r.LastCheck
}

func weightText(i *item) string {
	text := count(i.row.n[weight])
	if i.row.n[throttle] != none {
		text += fmt.Sprintf(" (%d%%)", i.row.n[throttle]) // slow start
	}
	return text
}

// count shows a number in at most six characters, none as a dash.
func count(n int64) string {
	if n < 0 {
		return "-"
	}
	if n < 100_000 {
		return strconv.FormatInt(n, 10)
	}
	return scaled(n, 1000, "kMGTPE")
}

// size shows bytes.
func size(n int64) string {
	if n < 0 {
		return "-"
	}
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	return scaled(n, 1024, "KMGTPE")
}

func scaled(n int64, step float64, units string) string {
	value, unit := float64(n)/step, 0
	for value >= step && unit < len(units)-1 {
		value /= step
		unit++
	}
	decimals := 1
	if value >= 99.95 {
		decimals = 0
	}
	return strconv.FormatFloat(value, 'f', decimals, 64) + units[unit:unit+1]
}

// span shows seconds by two units.
func span(n int64) string {
	switch {
	case n < 0:
		return "-"
	case n < 60:
		return fmt.Sprintf("%ds", n)
	case n < 3600:
		return fmt.Sprintf("%dm%02ds", n/60, n%60)
	case n < 86400:
		return fmt.Sprintf("%dh%02dm", n/3600, n/60%60)
	}
	return fmt.Sprintf("%dd%02dh", n/86400, n/3600%24)
}
