package logging

import "time"

// Dates are rendered once per second and worker: breaking a second into year, month and zone costs
// far more than the rest of a line, and lines come in bursts that share it. A cache is a plain value
// inside the worker's scratch, without a lock. It holds a date per form, keyed by its second; the
// fraction is appended at use.

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

const clfDateLen = len("20/Nov/2026:08:36:15")

// clfDate is one second as "20/Nov/2026:08:36:15 +0000".
type clfDate struct {
	sec   int64
	valid bool
	text  [clfDateLen + len(" +0000")]byte
}

func (d *clfDate) set(sec int64, t time.Time) {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b := d.text[:0]
	b = append2(b, day)
	b = append(b, '/')
	b = append(b, monthNames[3*(month-1):3*month]...)
	b = append(b, '/')
	b = append4(b, year)
	b = append(b, ':')
	b = appendClock(b, hour, minute, second)
	b = append(b, ' ')
	appendZone(b, t, false)
	d.sec, d.valid = sec, true
}

// acceptDates are the dates inside messages.
type acceptDates struct {
	local, utc clfDate
}

func (d *acceptDates) localAt(sec int64) []byte {
	if !d.local.valid || d.local.sec != sec {
		d.local.set(sec, time.Unix(sec, 0))
	}
	return d.local.text[:]
}

func (d *acceptDates) utcAt(sec int64) []byte {
	if !d.utc.valid || d.utc.sec != sec {
		d.utc.set(sec, time.Unix(sec, 0).UTC())
	}
	return d.utc.text[:]
}

// headerDates are the dates of syslog headers: "Nov 20 08:43:06" and, around the fraction of a second,
// "2026-11-20T08:43:06" and "+00:00".
type headerDates struct {
	sec   int64
	valid bool
	bsd   [len("Nov 20 08:43:06")]byte
	iso   [len("2026-11-20T08:43:06")]byte
	zone  [len("+00:00")]byte
}

func (d *headerDates) at(sec int64) {
	if d.valid && d.sec == sec {
		return
	}
	t := time.Unix(sec, 0)
	year, month, day := t.Date()
	hour, minute, second := t.Clock()

	b := append(d.bsd[:0], monthNames[3*(month-1):3*month]...)
	b = append(b, ' ')
	if day < 10 {
		b = append(b, ' ', byte('0'+day))
	} else {
		b = append2(b, day)
	}
	b = append(b, ' ')
	appendClock(b, hour, minute, second)

	b = append4(d.iso[:0], year)
	b = append(b, '-')
	b = append2(b, int(month))
	b = append(b, '-')
	b = append2(b, day)
	b = append(b, 'T')
	appendClock(b, hour, minute, second)

	appendZone(d.zone[:0], t, true)
	d.sec, d.valid = sec, true
}

func (d *headerDates) appendBSD(dst []byte, ns int64) []byte {
	sec, _ := splitNs(ns)
	d.at(sec)
	return append(dst, d.bsd[:]...)
}

func (d *headerDates) appendISO(dst []byte, ns int64) []byte {
	sec, frac := splitNs(ns)
	d.at(sec)
	dst = append(dst, d.iso[:]...)
	us := int(frac / 1000)
	dst = append(dst, '.')
	dst = append3(dst, us/1000)
	dst = append3(dst, us%1000)
	return append(dst, d.zone[:]...)
}

// splitNs parts Unix nanoseconds into seconds and a fraction that is never negative.
func splitNs(ns int64) (sec, frac int64) {
	sec, frac = ns/int64(time.Second), ns%int64(time.Second)
	if frac < 0 {
		sec--
		frac += int64(time.Second)
	}
	return sec, frac
}

func appendClock(b []byte, hour, minute, second int) []byte {
	b = append2(b, hour)
	b = append(b, ':')
	b = append2(b, minute)
	b = append(b, ':')
	return append2(b, second)
}

func appendZone(b []byte, t time.Time, colon bool) []byte {
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	b = append(b, sign)
	b = append2(b, offset/3600)
	if colon {
		b = append(b, ':')
	}
	return append2(b, offset/60%60)
}

func append2(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }

func append3(b []byte, n int) []byte { return append2(append(b, byte('0'+n/100%10)), n%100) }

func append4(b []byte, n int) []byte { return append2(append2(b, n/100), n%100) }
