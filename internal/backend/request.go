package backend

import (
	"math"
	"strconv"
	"strings"
)

// maxWeight is the largest weight.
const maxWeight = 256

// RequestWeight sets the weight of a server that somebody asks for in words: a number, or with % a part of the configured
// one. It returns what is wrong with them, as HAProxy says it; empty: nothing.
func (b *Backend) RequestWeight(i int, text string) (complaint string) {
	n, rest := integer(text)
	relative := rest == "%"
	initial := b.Server(i).InitialWeight()
	switch {
	case text == "":
		return "Require <weight> or <weight%>."
	case rest == text:
		return "Empty weight string empty or preceded by garbage"
	case rest != "" && !relative:
		return "Trailing garbage in weight string"
	case relative && n < 0:
		return "Relative weight must be positive."
	case !relative && (n < 0 || n > maxWeight):
		return "Absolute weight can only be between 0 and 256 inclusive."
	}
	if relative {
		n = min(initial*min(n, maxWeight*100)/100, maxWeight)
	}
	if b.Static() && n != 0 && n != initial {
		return "Backend is using a static LB algorithm and only accepts weights '0%' and '100%'."
	}
	b.SetWeight(i, n)
	return ""
}

// RequestMaxConn sets the limit of a server that somebody asks for in words; what is below 0 counts as 0, no limit.
func (b *Backend) RequestMaxConn(i int, text string) (complaint string) {
	n, rest := integer(text)
	switch {
	case text == "":
		return "Require <maxconn>."
	case rest == text:
		return "maxconn string empty or preceded by garbage"
	case rest != "":
		return "Trailing garbage in maxconn string"
	}
	b.SetMaxConn(i, max(n, 0))
	return ""
}

// integer is the number that a text begins with, within 32 bits, and what follows; without one that is the text.
func integer(text string) (n int, rest string) {
	sign := len(text) - len(strings.TrimLeft(text, "+-"))
	digits := text[sign:]
	end := len(digits) - len(strings.TrimLeft(digits, "0123456789"))
	if sign > 1 || end == 0 {
		return 0, text
	}
	long, _ := strconv.ParseInt(text[:sign+end], 10, 64) // out of range it is the last one in it
	return int(min(max(long, math.MinInt32), math.MaxInt32)), digits[end:]
}
