package stats

import (
	"bytes"
	"strconv"
	"strings"
)

// column is what is fixed about one: its name, three letters for what it tells (see tags), the type of its
// values, and a text.
type column struct {
	name string
	tags string
	kind kind
	help string
}

// kind is the type of a value.
type kind uint8

const (
	none kind = iota
	text
	u32
	s32
	u64
)

func (k kind) String() string { return [...]string{"", "str", "u32", "s32", "u64"}[k] }

// Object is what a row is about. The numbers are those of the column "type".
type Object uint8

// The objects.
const (
	Frontend Object = iota
	Backend
	Server
	Listener
)

// Letter is how typed output shows it.
func (o Object) letter() byte { return "FBSL"[o] }

func (o Object) String() string { return [...]string{"Frontend", "Backend", "Server", "Listener"}[o] }

// Row is one line of "show stat". Columns that were not set are empty.
type Row struct {
	Object  Object
	ProxyID int
	ID      int // of the server or listener in its proxy; 0: the proxy itself
	values  [NumColumns]value
}

type value struct {
	kind   kind
	number int64
	text   string
}

// SetText sets a column to a text.
func (r *Row) SetText(c Column, s string) { r.values[c] = value{kind: text, text: s} }

// Set sets a column to a number.
func (r *Row) Set(c Column, n int64) { r.values[c] = value{kind: columns[c].kind, number: n} }

// Count sets a column to a count.
func (r *Row) Count(c Column, n uint64) { r.Set(c, int64(n)) }

// Zero sets columns to 0: what exists and never happens here.
func (r *Row) Zero(list ...Column) {
	for _, c := range list {
		r.Set(c, 0)
	}
}

// Has reports whether a column is set.
func (r *Row) Has(c Column) bool { return r.values[c].kind != none }

// Number is the number in a column, 0 when there is none.
func (r *Row) Number(c Column) int64 { return r.values[c].number }

// Text is a column as text.
func (r *Row) Text(c Column) string { return r.values[c].String() }

func (v *value) String() string {
	switch v.kind {
	case none:
		return ""
	case text:
		return v.text
	case u64:
		return strconv.FormatUint(uint64(v.number), 10)
	case u32:
		return strconv.FormatUint(uint64(uint32(v.number)), 10)
	}
	return strconv.FormatInt(v.number, 10)
}

// AppendCSV appends the header and the rows as comma-separated values. A column "-" stands where those of
// protocols would begin.
func AppendCSV(out *bytes.Buffer, rows []Row) {
	out.WriteString("# ")
	for i := range columns {
		out.WriteString(columns[i].name)
		out.WriteByte(',')
	}
	out.WriteString("-,\n")
	for i := range rows {
		for c := range rows[i].values {
			writeQuoted(out, rows[i].values[c].String())
			out.WriteByte(',')
		}
		out.WriteString("-,\n")
	}
}

// writeQuoted quotes a value that has a comma or a quote in it.
func writeQuoted(out *bytes.Buffer, s string) {
	if !strings.ContainsAny(s, ",\"\n\r") {
		out.WriteString(s)
		return
	}
	out.WriteByte('"')
	out.WriteString(strings.ReplaceAll(s, `"`, `""`))
	out.WriteByte('"')
}

// AppendTyped appends one line for each value, with its type.
func AppendTyped(out *bytes.Buffer, rows []Row, described bool) {
	for i := range rows {
		r := &rows[i]
		for c := range r.values {
			v := &r.values[c]
			if v.kind == none {
				continue
			}
			out.WriteByte(r.Object.letter())
			for _, n := range [...]int{r.ProxyID, r.ID, c} {
				out.WriteByte('.')
				out.WriteString(strconv.Itoa(n))
			}
			out.WriteByte('.')
			typed(out, columns[c].name, r.tags(Column(c)), v.kind.String(), v.String())
			describe(out, columns[c].help, described)
			out.WriteByte('\n')
		}
	}
}

// tags are the letters of a column, with HAProxy's exceptions.
func (r *Row) tags(c Column) string {
	switch {
	case r.Object == Backend && (c == Rate || c == RateMax):
		return "MGP"
	case r.Object == Server && (c == Act || c == Bck):
		return "SGP"
	}
	return columns[c].tags
}

// typed writes what lines of "show stat typed" and "show info typed" have in common. The letter V says that a
// value does not outlive the process.
func typed(out *bytes.Buffer, name, tags, kind, value string) {
	out.WriteString(name)
	out.WriteString(".1:")
	out.WriteString(tags)
	out.WriteString("V:")
	out.WriteString(kind)
	out.WriteByte(':')
	out.WriteString(value)
}

func describe(out *bytes.Buffer, help string, described bool) {
	if described {
		out.WriteString(`:"` + help + `"`)
	}
}

// AppendJSON appends an array for each row, with an object for each value.
func AppendJSON(out *bytes.Buffer, rows []Row) {
	out.WriteByte('[')
	for i := range rows {
		r := &rows[i]
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('[')
		first := true
		for c := range r.values {
			v := &r.values[c]
			if v.kind == none {
				continue
			}
			if !first {
				out.WriteByte(',')
			}
			first = false
			out.WriteString(`{"objType":"` + r.Object.String() + `","proxyId":` + strconv.Itoa(r.ProxyID) + `,"id":` + strconv.Itoa(r.ID) + `,`)
			jsonValue(out, c, columns[c].name, r.tags(Column(c)), v.kind.String(), v.String())
		}
		out.WriteByte(']')
	}
	out.WriteString("]\n")
}

// jsonValue writes the members that objects of "show stat json" and "show info json" have in common, and the
// brackets behind them.
func jsonValue(out *bytes.Buffer, pos int, name, tags, kind, value string) {
	out.WriteString(`"field":{"pos":` + strconv.Itoa(pos) + `,"name":"` + name + `"},"processNum":1,"tags":{"origin":"`)
	out.WriteString(origins[tags[0]] + `","nature":"` + natures[tags[1]] + `","scope":"` + scopes[tags[2]])
	out.WriteString(`"},"value":{"type":"` + kind + `","value":`)
	if kind == "str" {
		writeJSONString(out, value)
	} else {
		out.WriteString(value)
	}
	out.WriteString("}}")
}

// The words for the three letters: where a value comes from, what it is, and how far it goes.
var (
	origins = map[byte]string{'M': "Metric", 'S': "Status", 'K': "Key", 'C': "Config", 'P': "Product"}
	natures = map[byte]string{
		'G': "Gauge", 'L': "Limit", 'm': "Min", 'M': "Max", 'R': "Rate", 'C': "Counter", 'D': "Duration", 'A': "Age",
		'T': "Time", 'N': "Name", 'O': "Output", 'a': "Avg",
	}
	scopes = map[byte]string{'C': "Cluster", 'P': "Process", 'S': "Service", 'Y': "System"}
)

// writeJSONString writes a text of any bytes as a JSON string.
func writeJSONString(out *bytes.Buffer, s string) {
	out.WriteByte('"')
	for _, r := range s { // what is not UTF-8 becomes the replacement character
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r < ' ' || r == 0x7f:
			const digits = "0123456789abcdef"
			out.WriteString(`\u00`)
			out.WriteByte(digits[r>>4])
			out.WriteByte(digits[r&15])
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}
