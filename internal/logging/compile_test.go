package logging

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock/penstock/netio"
)

func TestCompile_errors(t *testing.T) {
	tests := []struct {
		format string
		at     string // the part of the format that is wrong
		msg    string // how the message begins
	}{
		{"a %foo b", "%foo", "no such format alias 'foo'. To write"},
		{"%ci %xyzzy", "%xyzzy", "no such format alias 'xyzzy'. To write a '%' itself, use '%%'."},
		{"%CI", "%CI", "no such format alias 'CI'. Did you mean '%ci'?"},
		{"%pdi", "%pdi", "no such format alias 'pdi'. Did you mean '%pid'?"},
		{"%msx", "%msx", "no such format alias 'msx'. Did you mean '%ms'?"},
		{"%ic", "%ic", "no such format alias 'ic'. Did you mean '%ci'?"},
		{"%px", "%px", "no such format alias 'px'. To write"},
		{"%ci1", "%ci1", "no such format alias 'ci1'. Did you mean '%ci'?"},
		{"x %ST", "%ST", "format alias 'ST' is reserved for HTTP mode"},
		{"x %{+Q}r", "%{+Q}r", "format alias 'r' is reserved for HTTP mode"},
		{"100%", "%", "the format ends after '%'"},
		{"100% of", "% ", "unexpected ' ' after '%'"},
		{"a%1", "%1", "unexpected '1' after '%'"},
		{"a %{+Q", "{+Q", "the '{' of an argument modifier is not closed"},
		{"a %{+Q} b", "%{+Q}", "parse argument modifier without alias name near '%{+Q}'"},
		{"a %(n)", "%(n)", "parse argument modifier without alias name near '%(n)'"},
		{"a %(n", "%(n", "the '(' of an item name is not closed"},
		{"%(n:float)ci", "float", "unexpected output type 'float'"},
		{"a %[src", "[src", "the '[' of a sample expression is not closed"},
		{"a %[res.len] b", "res.len", "failed to parse sample expression <res.len> : this sample is not implemented yet"},
		{"%[src,ipmask(24)]", "src,ipmask(24)", "failed to parse sample expression <src,ipmask(24)>"},
		{"%[str(a,b)]", "str(a,b)", "failed to parse sample expression"},
		{"%[int(x)]", "int(x)", "failed to parse sample expression"},
		{"%[src(1)]", "src(1)", "failed to parse sample expression"},
		{"%[str('a)]", "[str('a)]", "the '[' of a sample expression is not closed"},
		{`%[str(a\)]`, `[str(a\)]`, "the '[' of a sample expression is not closed"},
		{"%[str(a))]", "str(a))", "failed to parse sample expression"},
		{"%[str(a)x]", "str(a)x", "failed to parse sample expression"},
		{"%[bool(maybe)]", "bool(maybe)", "failed to parse sample expression"},
		{"%[accept_date(h)]", "accept_date(h)", "failed to parse sample expression"},
		{"%[]", "]", "failed to parse sample expression <>"},
		{"%{+cbor}o %(a)ci", "+cbor", "log format flag 'cbor' is not implemented yet"},
	}
	for _, tt := range tests {
		t.Run(tt.format, func(t *testing.T) {
			f, err := Compile(tt.format)
			var fe *FormatError
			if f != nil || !errors.As(err, &fe) {
				t.Fatalf("got %v, %v; want a FormatError", f, err)
			}
			if !strings.HasPrefix(fe.Error(), tt.msg) {
				t.Errorf("message %q, want %q…", fe.Error(), tt.msg)
			}
			if d := cmp.Diff(tt.at, tt.format[fe.Offset:fe.Offset+fe.Len]); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestCompile_warnings(t *testing.T) {
	f := mustCompile(t, "%{Q}ci %{+Z,+Q}cp")
	want := []FormatError{
		{Offset: 2, Len: 1, Msg: "log format flag 'Q' needs a '+' or '-' before it; ignored"},
		{Offset: 9, Len: 2, Msg: "unknown log format flag 'Z' ignored"},
	}
	if d := cmp.Diff(want, f.Warnings()); d != "" {
		t.Error(d)
	}
	if got := string(f.Append(nil, sampleRecord(t))); got != "127.0.0.1 41580" {
		t.Errorf("got %q", got)
	}
}

// TestCompile_aliasClasses holds the table against the two things a user sees of it: an alias compiles
// or is refused as HTTP only, and no name stands twice.
func TestCompile_aliasClasses(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range aliases {
		if seen[a.name] {
			t.Errorf("alias %s stands twice", a.name)
		}
		seen[a.name] = true
		_, err := Compile("%" + a.name)
		if httpOnly := a.class == aliasHTTPOnly; httpOnly != (err != nil) {
			t.Errorf("alias %s: %v", a.name, err)
		}
	}
	for _, name := range strings.Fields("ci cp fi fp bi bp si sp f ft b s t T Tl Ts ms Th Tw Tc Td Tt Tu B U ts " +
		"ac fc bc sc rc sq bq lc rt pid H ID OG hr hrl hs hsl o") {
		if !seen[name] {
			t.Errorf("alias %s is missing", name)
		}
	}
}

func TestOneEdit(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"abc", "abc", false},
		{"abc", "abd", true},
		{"abc", "xbc", true},
		{"abc", "acb", true},
		{"abc", "bac", true},
		{"abc", "cba", false},
		{"abc", "ab", true},
		{"bc", "abc", true},
		{"abc", "abxc", true},
		{"abc", "a", false},
		{"", "a", true},
		{"", "", false},
		{"ab", "cd", false},
	} {
		if got := oneEdit(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: %v", tt.a, tt.b, got)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		TCPLogFormat, TCPLogCLFFormat, "", "%", "%%", "%foo", "%{+Q,-X}o%ci", "%(a:str){+E}[str('x,]y')]", "%[src,lower]", "a  b %hr  c",
		"%[accept_date(us)]", "%{+X}ci%{+X}Ts", "%[env(HOME)]", `%[str("a\"b")]`, "%-%\"", "%{+json}o %(a)ci",
	} {
		f.Add(s)
	}
	for _, a := range aliases {
		f.Add("%{+Q}" + a.name)
	}
	for name := range fetches {
		f.Add("%{+E}[" + name + "]")
	}
	v6 := netio.Addr{Family: netio.FamilyIn6, Port: 1}
	records := []Record{
		{},
		{ClientAddr: v6, BindAddr: v6, LocalAddr: v6, ServerAddr: v6, UniqueID: "\"\n\xff", ServerName: "s", BackendName: "b", AcceptTimeNs: -1 << 63},
		{ClientAddr: netio.Addr{Family: netio.FamilyUnix}, Term: [2]byte{'S', 'C'}, ASAP: true, Redispatched: true, AcceptTimeNs: 1<<63 - 1, Origin: 255},
	}
	f.Fuzz(func(t *testing.T, s string) {
		format, err := Compile(s)
		if (format == nil) == (err == nil) {
			t.Fatalf("format %v, error %v", format, err)
		}
		var fe *FormatError
		if errors.As(err, &fe) {
			if fe.Offset < 0 || fe.Len < 1 || fe.Offset+fe.Len > len(s) || fe.Msg == "" {
				t.Fatalf("error %+v does not lie within %q", fe, s)
			}
			return
		}
		for _, w := range format.Warnings() {
			if w.Offset < 0 || w.Offset+w.Len > len(s)+1 {
				t.Fatalf("warning %+v does not lie within %q", w, s)
			}
		}
		for i := range records {
			first := format.Append(nil, &records[i])
			if again := format.Append(slices.Clone(first), &records[i]); !bytes.Equal(again, append(slices.Clone(first), first...)) {
				t.Fatalf("%q: appended to %q gives %q", s, first, again)
			}
		}
	})
}
