package logging

import (
	"strconv"

	"github.com/penstock/penstock/internal/config"
)

// appendHeader appends all that stands before the message in this target's format. level is already
// capped by the target.
func (t *target) appendHeader(dst []byte, w *Scratch, level int, now int64) []byte {
	switch t.format {
	case config.HeaderLocal, config.HeaderRFC3164:
		dst = appendPriority(dst, t.facility<<3|level)
		dst = w.dates.appendBSD(dst, now)
		return append(dst, t.origin...)
	case config.HeaderRFC5424:
		dst = appendPriority(dst, t.facility<<3|level)
		dst = append(dst, '1', ' ')
		dst = w.dates.appendISO(dst, now)
		dst = append(dst, t.origin...)
		if len(w.SD) == 0 {
			return append(dst, '-', ' ')
		}
		dst = append(dst, w.SD...)
		return append(dst, ' ')
	case config.HeaderPriority:
		return appendPriority(dst, t.facility<<3|level)
	case config.HeaderShort:
		return appendPriority(dst, level)
	case config.HeaderTimed:
		dst = appendPriority(dst, level)
		return append(w.dates.appendISO(dst, now), ' ')
	case config.HeaderISO:
		return append(w.dates.appendISO(dst, now), ' ')
	}
	return dst
}

func appendPriority(dst []byte, priority int) []byte {
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(priority), 10)
	return append(dst, '>')
}

// headerOrigin is the part of a header that names the sender, the same in every line: it follows the
// date, and precedes the message or the structured data.
func headerOrigin(format config.LogHeader, o *Options) string {
	pid := strconv.Itoa(o.Pid)
	switch format {
	case config.HeaderLocal:
		return " " + o.Tag + "[" + pid + "]: "
	case config.HeaderRFC3164:
		host := "localhost"
		if o.SendHostname && o.Hostname != "" {
			host = o.Hostname
		}
		return " " + host + " " + o.Tag + "[" + pid + "]: "
	case config.HeaderRFC5424:
		host := "-"
		if o.SendHostname && o.Hostname != "" {
			host = o.Hostname
		}
		return " " + host + " " + o.Tag + " " + pid + " - "
	}
	return ""
}
