package check

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/penstock/penstock/internal/config"
)

// headerPattern is what the name or the value of a header is compared with.
type headerPattern struct {
	how    string // str, beg, end, sub or reg
	text   string
	re     *regexp.Regexp
	format config.CheckFormat // gives the text; nil: it is known
}

func newHeaderPattern(c *config.HeaderPattern) (headerPattern, error) {
	h := headerPattern{how: c.How, text: c.Text, format: c.Format}
	if c.How != "reg" {
		return h, nil
	}
	var err error
	h.re, err = regexp.Compile(c.Text)
	return h, err
}

func (h *headerPattern) matches(text string) bool {
	switch h.how {
	case "beg":
		return strings.HasPrefix(text, h.text)
	case "end":
		return strings.HasSuffix(text, h.text)
	case "sub":
		return strings.Contains(text, h.text)
	case "reg":
		return h.re.MatchString(text)
	}
	return text == h.text
}

// headerExpect is a header that an answer has to have.
type headerExpect struct {
	whole       bool // the value is compared as a whole, not each part between commas
	name, value headerPattern
	anyValue    bool
}

func newHeaderExpect(c *config.CheckHeader) (*headerExpect, error) {
	h := &headerExpect{whole: c.Whole, anyValue: c.Value == nil}
	var err error
	if h.name, err = newHeaderPattern(&c.Name); err != nil || h.anyValue {
		return h, err
	}
	h.value, err = newHeaderPattern(c.Value)
	return h, err
}

// in reports whether one of the headers is the one. Names have no case.
func (h *headerExpect) in(fields []byte) bool {
	name := h.name
	name.text = strings.ToLower(name.text)
	for line := range bytes.Lines(fields) {
		field, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		if !name.matches(strings.ToLower(field)) {
			continue
		}
		if h.anyValue {
			return true
		}
		value = strings.Trim(value, " \t")
		if h.whole {
			if h.value.matches(value) {
				return true
			}
			continue
		}
		for part := range strings.SplitSeq(value, ",") {
			if h.value.matches(strings.Trim(part, " \t")) {
				return true
			}
		}
	}
	return false
}
