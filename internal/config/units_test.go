package config

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	for _, c := range []struct {
		in   string
		unit time.Duration
		want time.Duration
		msg  string
	}{
		{"0", time.Millisecond, 0, ""},
		{"1", time.Millisecond, time.Millisecond, ""},
		{"1us", time.Millisecond, time.Millisecond, ""},
		{"1000us", time.Millisecond, time.Millisecond, ""},
		{"1001us", time.Millisecond, 2 * time.Millisecond, ""},
		{"15ms", time.Millisecond, 15 * time.Millisecond, ""},
		{"3s", time.Millisecond, 3 * time.Second, ""},
		{"2m", time.Millisecond, 2 * time.Minute, ""},
		{"1h", time.Millisecond, time.Hour, ""},
		{"24d", time.Millisecond, 24 * 24 * time.Hour, ""},
		{"2147483647", time.Millisecond, math.MaxInt32 * time.Millisecond, ""},
		{"7", time.Second, 7 * time.Second, ""},
		{"1500ms", time.Second, 2 * time.Second, ""},
		{"2m", time.Second, 2 * time.Minute, ""},
		{"", time.Millisecond, 0, "'timeout client' expects an integer value (in milliseconds)"},
		{"1.5s", time.Millisecond, 0, "unexpected character '.' in 'timeout client'"},
		{"-1", time.Millisecond, 0, "unexpected character '-' in 'timeout client'"},
		{"5u", time.Millisecond, 0, "unexpected character 'u' in 'timeout client'"},
		{"1S", time.Millisecond, 0, "unexpected character 'S' in 'timeout client'"},
		{"5mm", time.Millisecond, 0, "unexpected character 'm' after the timer value '5mm' in 'timeout client'"},
		{"25d", time.Millisecond, 0, "timer overflow in argument '25d' to 'timeout client' (maximum value is 2147483647 ms or ~24.8 days)"},
		{
			"99999999999999999999", time.Millisecond, 0,
			"timer overflow in argument '99999999999999999999' to 'timeout client' (maximum value is 2147483647 ms or ~24.8 days)",
		},
	} {
		got, err := parseTime(c.in, c.unit)
		msg := ""
		if err != nil {
			msg = timeMessage(err, c.in, "timeout client")
		}
		if got != c.want || msg != c.msg {
			t.Errorf("parseTime(%q, %v) = %v, %q; want %v, %q", c.in, c.unit, got, msg, c.want, c.msg)
		}
	}
	if got := timeMessage(errors.New("other"), "x", "y"); got != "other" {
		t.Errorf("timeMessage of a foreign error = %q", got)
	}
}

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int
		err  string
	}{
		{"0", 0, ""},
		{"16384", 16384, ""},
		{"16k", 16384, ""},
		{"16K", 16384, ""},
		{"3m", 3 << 20, ""},
		{"2G", 2 << 30, ""},
		{"", 0, "missing value"},
		{"k", 0, "unexpected character 'k'"},
		{"1.5k", 0, "unexpected character '.'"},
		{"5kb", 0, "unexpected character 'b'"},
		{"5x", 0, "unexpected character 'x'"},
		{"99999999999g", 0, "value too large"},
		{"99999999999999999999999", 0, "value too large"},
	} {
		got, err := parseSize(c.in)
		msg := ""
		if err != nil {
			msg = err.Error()
		}
		if got != c.want || msg != c.err {
			t.Errorf("parseSize(%q) = %d, %q; want %d, %q", c.in, got, msg, c.want, c.err)
		}
	}
}

func TestParseAtol(t *testing.T) {
	for in, want := range map[string]int{
		"": 0, "abc": 0, "12": 12, "12abc": 12, " \t7": 7, "-3": -3, "+4": 4, "--4": 0,
		"99999999999999999999999": math.MaxInt32, "-99999999999": -math.MaxInt32,
	} {
		if got := parseAtol(in); got != want {
			t.Errorf("parseAtol(%q) = %d; want %d", in, got, want)
		}
	}
}

func TestNearestWord(t *testing.T) {
	words := []string{"accept-proxy", "level", "maxconn", "mode", "name", "nice", "tfo", "tcp-ut", "weight"}
	for in, want := range map[string]string{
		"foo": "tfo", "maxcon": "maxconn", "label": "level", "weigth": "weight", "tcp-ss": "tcp-ut",
		"bogus": "", "2": "", ":81": "", "": "",
	} {
		if got := nearestWord(in, words); got != want {
			t.Errorf("nearestWord(%q) = %q; want %q", in, got, want)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"", "1", "1us", "30s", "1.5s", "25d", "16k", "2G", "-1", "99999999999999999999m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, unit := range []time.Duration{time.Millisecond, time.Second} {
			d, err := parseTime(s, unit)
			if err != nil && d != 0 {
				t.Fatalf("parseTime(%q) gives a value and %v", s, err)
			}
			if d < 0 || d > maxTicks*unit || d%unit != 0 {
				t.Fatalf("parseTime(%q, %v) = %v: out of range", s, unit, d)
			}
			if err != nil && timeMessage(err, s, "timeout") == "" {
				t.Fatalf("parseTime(%q): no message for %v", s, err)
			}
		}
		n, err := parseSize(s)
		if err != nil && n != 0 || n < 0 {
			t.Fatalf("parseSize(%q) = %d, %v", s, n, err)
		}
		if err == nil && strings.Trim(s, "0123456789kKmMgG") != "" {
			t.Fatalf("parseSize(%q) accepts strange bytes", s)
		}
		if a := parseAtol(s); a > math.MaxInt32 || a < -math.MaxInt32 {
			t.Fatalf("parseAtol(%q) = %d: out of range", s, a)
		}
	})
}
