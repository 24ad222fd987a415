package main

import (
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/top"
)

// completer extends commands that are typed. It knows the commands that the process lists, and asks it for its names when one
// is wanted.
//
// A usage is a row of words: set server <bk>/<srv> [opts]. A fixed word matches its beginning, a place what may stand there:
// names for <bk>/<srv>, <frontend> and <backend>, the words of [on|off] for that.
type completer struct {
	usages [][]string
	names  func() []top.Row // nil: none
	rows   []top.Row
	asked  bool
}

// newCompleter reads the usages of a list of help.
func newCompleter(help string, names func() []top.Row) *completer {
	c := &completer{names: names}
	for line := range strings.Lines(help) {
		usage, _, ok := strings.Cut(line, ": ")
		if row := places(usage); ok && strings.HasPrefix(line, "  ") && len(row) > 0 {
			c.usages = append(c.usages, row)
		}
	}
	return c
}

// places cuts a usage at its blanks, but not inside of brackets.
func places(usage string) []string {
	var list []string
	depth := 0
	open := false
	for _, word := range strings.Fields(usage) {
		if open {
			list[len(list)-1] += " " + word
		} else {
			list = append(list, word)
		}
		depth += strings.Count(word, "[") - strings.Count(word, "]")
		open = depth > 0
	}
	return list
}

func fixed(place string) bool { return !strings.ContainsAny(place, "<[|{(") }

// candidates are the words that may stand in a place.
func (c *completer) candidates(place string) []string {
	if fixed(place) {
		return []string{place}
	}
	inner := strings.TrimRight(place, "*+")
	if strings.HasPrefix(inner, "[") {
		inner = strings.TrimSuffix(inner[1:], "]")
	}
	switch inner {
	case "<bk>/<srv>", "<backend>/<server>", "<b>/<s>":
		return c.named(top.Server)
	case "<frontend>":
		return c.named(top.Frontend)
	case "<backend>":
		return c.named(top.Backend)
	}
	if strings.ContainsAny(inner, "<>") {
		return nil
	}
	var words []string
	for word := range strings.SplitSeq(inner, "|") {
		if word = strings.TrimSpace(word); word != "" && word != "opts" && !strings.ContainsAny(word, "[]{}() ") {
			words = append(words, word)
		}
	}
	return words
}

// named are the names of proxies or servers, which are asked for once.
func (c *completer) named(kind top.Kind) []string {
	if !c.asked && c.names != nil {
		c.asked, c.rows = true, c.names()
	}
	var list []string
	for _, r := range c.rows {
		switch {
		case r.Kind != kind:
		case kind == top.Server:
			list = append(list, r.Proxy+"/"+r.Name)
		default:
			list = append(list, r.Proxy)
		}
	}
	return list
}

// complete extends the last command of a line as far as all that it may become agree. Choices are the words that may stand where the
// line ends.
func (c *completer) complete(line string) (completed string, choices []string) {
	start := strings.LastIndexByte(line, ';') + 1
	words := strings.Fields(line[start:])
	last := ""
	if len(words) > 0 && !strings.HasSuffix(line, " ") {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	for _, usage := range c.usages {
		if place, ok := placeAfter(usage, words); ok {
			for _, word := range c.candidates(place) {
				if strings.HasPrefix(word, last) {
					choices = append(choices, word)
				}
			}
		}
	}
	slices.Sort(choices)
	choices = slices.Compact(choices)
	if len(choices) == 0 {
		return line, nil
	}
	common := choices[0]
	for _, choice := range choices[1:] {
		for !strings.HasPrefix(choice, common) {
			common = common[:len(common)-1]
		}
	}
	if len(choices) == 1 {
		common += " "
	}
	return line[:len(line)-len(last)] + common, choices
}

// placeAfter finds the place behind some words in a usage that they fit. The last place is open for more words when it is written so.
func placeAfter(usage, words []string) (place string, ok bool) {
	for i, word := range words {
		if i >= len(usage) {
			return again(usage)
		}
		if fixed(usage[i]) && usage[i] != word {
			return "", false
		}
	}
	if len(words) >= len(usage) {
		return again(usage)
	}
	return usage[len(words)], true
}

func again(usage []string) (place string, ok bool) {
	last := usage[len(usage)-1]
	return last, strings.HasSuffix(last, "*") || strings.HasSuffix(last, "+")
}
