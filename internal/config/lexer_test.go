package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testLexer() *lexer {
	env := newEnviron(func(name string) (string, bool) {
		v, ok := map[string]string{"A": "one", "E": "", "LIST": " a  b c ", "Q": `x"y`, "SHARP": "a#b"}[name]
		return v, ok
	})
	return &lexer{env: env, file: "f.cfg", line: 7, section: "global"}
}

func TestLexerWords(t *testing.T) {
	tests := []struct {
		src  string
		want []word
	}{
		{"", nil},
		{" \t # only a comment", nil},
		{"daemon#glued", []word{{"daemon", 1, 7}}},
		{"  bind\t:80 ", []word{{"bind", 3, 7}, {":80", 8, 11}}},
		{"bind :80\r", []word{{"bind", 1, 5}, {":80", 6, 9}}},
		{`"a b"`, []word{{"a b", 1, 6}}},
		{`'a "b" $A \n'`, []word{{`a "b" $A \n`, 1, 14}}},
		{`"a"' b'\ c`, []word{{"a b c", 1, 11}}},
		{`a\ b\#c\\d\"e\'f`, []word{{`a b#c\d"e'f`, 1, 17}}},
		{`\x41\x7a\n\t\r\q`, []word{{"Az\n\t\r\\q", 1, 17}}},
		{`a\`, []word{{`a\`, 1, 3}}},
		{`"$A" $A ${A}`, []word{{"one", 1, 5}, {"$A", 6, 8}, {"${A}", 9, 13}}},
		{`"\$A${A}b$A"`, []word{{"$Aonebone", 1, 13}}},
		{`"${N-def}" "${A-def}"`, []word{{"def", 1, 11}, {"one", 12, 22}}},
		{`x"${N}"`, []word{{"x", 1, 8}}},
		{`"${LIST[*]}" z`, []word{{"a", 1, 13}, {"b", 1, 13}, {"c", 1, 13}, {"z", 14, 15}}},
		{`"<${LIST[*]}>"`, []word{{"<", 1, 15}, {"a", 1, 15}, {"b", 1, 15}, {"c", 1, 15}, {">", 1, 15}}},
		{`"${N[*]}" z`, []word{{"z", 11, 12}}},
		{`"${N[*]-p q}"`, []word{{"p", 1, 14}, {"q", 1, 14}}},
		{`"${.FILE}:${.LINE}:${.SECTION}"`, []word{{"f.cfg:7:global", 1, 32}}},
		{`"$Q" "$SHARP"`, []word{{`x"y`, 1, 5}, {"a#b", 6, 14}}},
		{`"a#b" 'c#d' e`, []word{{"a#b", 1, 6}, {"c#d", 7, 12}, {"e", 13, 14}}},
	}
	for _, tt := range tests {
		got, err := testLexer().split(nil, tt.src)
		if err != nil {
			t.Errorf("split(%q): %s", tt.src, err.msg)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(word{})); diff != "" {
			t.Errorf("split(%q) (-want +got):\n%s", tt.src, diff)
		}
	}
}

func TestLexerErrors(t *testing.T) {
	many := strings.Repeat("w ", 65)
	tests := []struct {
		src      string
		col, end int
		code     string
		msg      string
	}{
		{` "a`, 2, 4, "unmatched-quote", "unmatched quote at position 2:"},
		{`  log a'b x`, 8, 12, "unmatched-quote", "unmatched quote at position 8:"},
		{` log "${A" x`, 8, 10, "unmatched-brace", "unmatched brace in environment variable name at position 8:"},
		{` log "${A-foo" x`, 8, 17, "unmatched-brace", "unmatched brace in environment variable name at position 8:"},
		{` log "$1" x`, 8, 9, "bad-variable", "forbidden first char in environment variable name at position 8:"},
		{` log "$`, 8, 9, "bad-variable", "forbidden first char in environment variable name at position 8:"},
		{` log "${A[*" x`, 10, 11, "bad-expansion", "truncated or invalid word expansion sequence at position 10:"},
		{` log a\xZZ x`, 7, 11, "bad-hex", "truncated or invalid hexadecimal sequence at position 7:"},
		{`a\x4`, 2, 5, "bad-hex", "truncated or invalid hexadecimal sequence at position 2:"},
		{`log "" x`, 5, 7, "empty-word", "argument number 1 at position 5 is empty and marks the end of the argument list:"},
		{`log a "$E"`, 7, 11, "empty-word", "argument number 2 at position 7 is empty and marks the end of the argument list:"},
		{`log x "${N}"`, 7, 13, "empty-word", "argument number 2 at position 7 is empty and marks the end of the argument list:"},
		{many, 129, 130, "too-many-words", "too many words, truncating after word 64, position 129: <w >."},
	}
	for _, tt := range tests {
		_, err := testLexer().split(nil, tt.src)
		if err == nil {
			t.Errorf("split(%q) succeeded", tt.src)
			continue
		}
		got := []any{err.col, err.end, err.code, err.msg}
		if diff := cmp.Diff([]any{tt.col, tt.end, tt.code, tt.msg}, got); diff != "" {
			t.Errorf("split(%q) (-want +got):\n%s", tt.src, diff)
		}
	}
}

func TestEnviron(t *testing.T) {
	e := newEnviron(func(name string) (string, bool) { return "base-" + name, name != "NONE" })
	check := func(name, want string, wantOK bool) {
		t.Helper()
		if got, ok := e.lookup(name); got != want || ok != wantOK {
			t.Errorf("lookup(%s) = %q, %v, want %q, %v", name, got, ok, want, wantOK)
		}
	}
	check("A", "base-A", true)
	e.preset("A", "x")
	check("A", "base-A", true)
	e.preset("NONE", "x")
	check("NONE", "x", true)
	e.set("A", "y")
	check("A", "y", true)
	e.unset("B")
	check("B", "", false)
	e.reset([]string{"A", "C"})
	check("A", "y", true)
	check("C", "base-C", true)
	check("D", "", false)
	check("NONE", "", false)
}

func FuzzLexer(f *testing.F) {
	for _, seed := range []string{
		"bind :80", `"a b"'c'\ d # x`, `"${LIST[*]}${N-x}" y`, `"$A`, `\x4`, "\x00", strings.Repeat(`"${LIST[*]}"`, 40), `"${.LINE}"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		words, err := testLexer().split(nil, src)
		if err != nil {
			if err.msg == "" || err.code == "" {
				t.Errorf("an error says nothing: %+v", *err)
			}
			if err.col < 1 || err.col > len(src)+1 || err.end <= err.col || err.end > len(src)+2 {
				t.Errorf("error at %d..%d of %d bytes", err.col, err.end, len(src))
			}
			return
		}
		if len(words) > maxWords {
			t.Errorf("%d words", len(words))
		}
		last := 1
		for _, w := range words {
			if w.text == "" {
				t.Error("an empty word")
			}
			if w.col < last || w.end <= w.col || w.end > len(src)+1 {
				t.Errorf("word %q at %d..%d of %d bytes, after %d", w.text, w.col, w.end, len(src), last)
			}
			last = w.col
		}
	})
}
