package e2e

import (
	"regexp"
	"strconv"
	"testing"
)

// mustMatch returns the groups of a match of pattern in s.
func mustMatch(tb testing.TB, what, s, pattern string) []string {
	tb.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(s)
	if match == nil {
		tb.Fatalf("%s %q is not like %q", what, s, pattern)
	}
	return match
}

// mustInt returns the number that s spells.
func mustInt(tb testing.TB, s string) int {
	tb.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
