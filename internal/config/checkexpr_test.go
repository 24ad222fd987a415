package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckFormat(t *testing.T) {
	for _, c := range []struct {
		text string
		want CheckFormat
	}{
		{"", nil},
		{"a b%%c", CheckFormat{{Text: "a b%c"}}},
		{"%s,%b", CheckFormat{{Expr: &CheckExpr{Fetch: "srv_name"}}, {Text: ","}, {Expr: &CheckExpr{Fetch: "be_name"}}}},
		{"%[str('a)]')]%[str(\"b,c\")]", CheckFormat{{Expr: &CheckExpr{Fetch: "str", Args: []string{"a)]"}}}, {Expr: &CheckExpr{Fetch: "str", Args: []string{"b,c"}}}}},
		{"%[date]x%[date(-5)]", CheckFormat{{Expr: &CheckExpr{Fetch: "date"}}, {Text: "x"}, {Expr: &CheckExpr{Fetch: "date", Args: []string{"-5"}}}}},
		{"%[res.payload(1,2)]", CheckFormat{{Expr: &CheckExpr{Fetch: "res.payload", Args: []string{"1", "2"}}}}},
		{"%[bool(yes)]", CheckFormat{{Expr: &CheckExpr{Fetch: "bool", Args: []string{"1"}}}}},
	} {
		got, bad := parseCheckFormat(c.text, false)
		if bad != nil {
			t.Errorf("%s: %s", c.text, bad.text)
		} else if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, diff)
		}
	}
}

// Whatever stands in a configuration is read or refused with a reason.
func FuzzCheckFormat(f *testing.F) {
	for _, text := range []string{"a%[str(x)]b", "%s%%", "%[res.payload(0,1)]", "%[str('", "%[", "%", "%[var(check.a)]", "%[int(-1)]", "%[str(a),lower]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, bad := parseCheckFormat(text, false)
		if bad != nil {
			if bad.text == "" {
				t.Fatal("no reason")
			}
			return
		}
		for _, p := range got {
			if p.Expr == nil && p.Text == "" {
				t.Fatal("a part without anything")
			}
			if p.Expr != nil {
				known := checkFetches[p.Expr.Fetch]
				if n := len(p.Expr.Args); n < known.least || n > known.most {
					t.Fatalf("%s with %d arguments", p.Expr.Fetch, n)
				}
			}
		}
		if !strings.Contains(text, "%") && text != "" && (len(got) != 1 || got[0].Text != text) {
			t.Fatalf("%q became %v", text, got)
		}
	})
}
