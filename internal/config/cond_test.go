package config

import (
	"strings"
	"testing"
)

func condEnv(name string) (string, bool) {
	v, ok := map[string]string{"SET": "x", "EMPTY": "", "TRUE": "1"}[name]
	return v, ok
}

func TestEvalCond(t *testing.T) {
	tests := []struct {
		expr string
		want bool
	}{
		{"", false},
		{"0", false},
		{"1", true},
		{"-3", true},
		{"0x0", false},
		{"0x10", true},
		{"00", false},
		{"!0", true},
		{"!!1", true},
		{"! ! 0", false},
		{"1 && 0", false},
		{"1&&1", true},
		{"0 || 1", true},
		{"0 && 0 || 1", true},
		{"1 || 0 && 0", true},
		{"(1 || 0) && 0", false},
		{"!(1 && 0)", true},
		{"( ( 1 ) )", true},
		{"defined(SET)", true},
		{"defined(EMPTY)", true},
		{"defined(NONE)", false},
		{"!defined(NONE) && defined(SET)", true},
		{"feature(THREAD)", true},
		{"feature(EPOLL) && feature(LINUX_SPLICE) && feature(CPU_AFFINITY)", true},
		{"feature(OPENSSL)", false},
		{"feature(LUA)", false},
		{"feature(NS)", false},
		{"feature(SPLICE)", false},
		{"enabled(SPLICE)", true},
		{"enabled(EPOLL)", true},
		{"enabled(KQUEUE)", false},
		{"enabled(REUSEPORT)", true},
		{"streq(a,a)", true},
		{"streq(a,b)", false},
		{"strneq(a,b)", true},
		{`streq("\"a,b\"",a\\,b)`, true},
		{`streq('a b',"a b")`, true},
		{`streq("$SET",x)`, true},
		{`streq(a , a)`, false},
		{"strstr(abc,b)", true},
		{"strstr(abc,d)", false},
		{"version_atleast(3.4.0)", true},
		{"version_atleast(3.4-dev5)", true},
		{"version_atleast(2.3-dev1)", true},
		{"version_atleast(3.0-dev9)", true},
		{"version_atleast(3.4.1)", false},
		{"version_atleast(3.5-dev1)", false},
		{"version_before(3.5-dev1)", true},
		{"version_before(3.4)", false},
		{"openssl_version_atleast(1.0.0)", false},
		{`"$TRUE"`, true},
		{strings.Repeat("(", 300) + "1" + strings.Repeat(")", 300), true},
		{strings.Repeat("1 && ", 60/2) + "1", true},
	}
	for _, tt := range tests {
		got, err := EvalCond(tt.expr, condEnv)
		if err != nil || got != tt.want {
			t.Errorf("EvalCond(%q) = %v, %v, want %v", tt.expr, got, err, tt.want)
		}
	}
}

func TestFeatureList(t *testing.T) {
	list := FeatureList()
	for _, want := range []string{"+EPOLL", "+THREAD", "-OPENSSL", "-LUA"} {
		if !strings.Contains(" "+list+" ", " "+want+" ") {
			t.Errorf("%s is not in %q", want, list)
		}
	}
}

func TestEvalCondErrors(t *testing.T) {
	tests := []struct {
		expr, want string
		at         int
	}{
		{"foo bar", "unparsable conditional expression 'foo bar'", 0},
		{"foo(", "unparsable conditional expression 'foo('", 0},
		{"1 2", "unexpected character '2' at the end of conditional expression '1 2'", 2},
		{"1 ||", "unparsable conditional expression '1 ||'", 2},
		{"1 && ", "unparsable conditional expression '&&'", 2},
		{"!", "unparsable conditional expression '!'", 0},
		{"(", "unparsable conditional expression '('", 0},
		{"(1 && 0", "expected ')' after conditional expression '(1 && 0'", 0},
		{"1 || x", "unparsable conditional expression 'x'", 5},
		{"defined(", "expected ')' in argument 1 of predicate 'defined' used in conditional expression", 8},
		{"streq(a)", "missing arguments (got 1/2), type 'string' expected in argument 1 of predicate 'streq' used in conditional expression", 7},
		{"defined(HOME,b)", "expected ')' before ',b)' in argument 1 of predicate 'defined' used in conditional expression", 12},
		{"defined()", "missing arguments (got 0/1), type 'string' expected in argument 1 of predicate 'defined' used in conditional expression", 8},
	}
	for _, tt := range tests {
		_, err := evalCond(strings.TrimSpace(tt.expr), newEnviron(condEnv))
		if err == nil {
			t.Errorf("evalCond(%q) succeeded", tt.expr)
			continue
		}
		if err.msg != tt.want || err.at != tt.at {
			t.Errorf("evalCond(%q) = %d %q, want %d %q", tt.expr, err.at, err.msg, tt.at, tt.want)
		}
		if _, err := EvalCond(tt.expr, condEnv); err == nil || err.Error() != tt.want {
			t.Errorf("EvalCond(%q) = %v, want %q", tt.expr, err, tt.want)
		}
	}
	for _, expr := range []string{`"a`, strings.Repeat("(", 5000), strings.Repeat("(", 5000) + "1", strings.Repeat("!", 5000)} {
		if _, err := EvalCond(expr, condEnv); err == nil {
			t.Errorf("EvalCond(%.20q) succeeded", expr)
		}
	}
}

func FuzzCond(f *testing.F) {
	for _, seed := range []string{
		"1 && (0 || !defined(X))", `streq("a b",'c')`, "version_atleast(2.4-dev3)", "((((", "1 ||", "strstr(a,\\)", "0x", "-", "feature(",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		value, err := evalCond(expr, newEnviron(condEnv))
		if err != nil {
			if value {
				t.Error("a value and an error")
			}
			if err.at < 0 || err.at > len(expr) || err.msg == "" {
				t.Errorf("error %q at %d of %d bytes", err.msg, err.at, len(expr))
			}
			return
		}
		again, err := evalCond("!("+expr+")", newEnviron(condEnv))
		if expr != "" && strings.TrimLeft(expr, " \t") != "" && (err != nil || again == value) {
			t.Errorf("%q is %v, its negation %v (%v)", expr, value, again, err)
		}
	})
}
