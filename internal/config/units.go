package config

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// unitError says why a time or a size was refused.
type unitError struct {
	overflow  bool
	char      byte // the first byte that does not belong there; 0 when nothing was there
	afterUnit bool // char stands behind a complete value
}

func (e *unitError) Error() string {
	switch {
	case e.overflow:
		return "value too large"
	case e.char == 0:
		return "missing value"
	}
	return fmt.Sprintf("unexpected character '%c'", e.char)
}

// maxTicks is the largest number of units a timer may hold.
const maxTicks = math.MaxInt32

// parseTime reads an integer with one of the units us, ms, s, m, h or d; without one it counts in
// defaultUnit. The result is a multiple of defaultUnit, rounded up, and at most 2^31-1 of it. Every
// error is a *unitError; timeMessage makes HAProxy's sentence of it.
func parseTime(s string, defaultUnit time.Duration) (time.Duration, error) {
	if s == "" {
		return 0, &unitError{}
	}
	value, rest, overflow := leadingDigits(s)
	if len(rest) == len(s) {
		return 0, &unitError{char: s[0]}
	}
	unit := defaultUnit
	if rest != "" {
		width := 1
		switch {
		case len(rest) > 1 && rest[:2] == "us":
			unit, width = time.Microsecond, 2
		case len(rest) > 1 && rest[:2] == "ms":
			unit, width = time.Millisecond, 2
		case rest[0] == 's':
			unit = time.Second
		case rest[0] == 'm':
			unit = time.Minute
		case rest[0] == 'h':
			unit = time.Hour
		case rest[0] == 'd':
			unit = 24 * time.Hour
		default:
			return 0, &unitError{char: rest[0]}
		}
		if rest = rest[width:]; rest != "" {
			return 0, &unitError{char: rest[0], afterUnit: true}
		}
	}
	if overflow || value > uint64(math.MaxInt64)/uint64(unit) {
		return 0, &unitError{overflow: true}
	}
	ticks := (value*uint64(unit) + uint64(defaultUnit) - 1) / uint64(defaultUnit)
	if ticks > maxTicks {
		return 0, &unitError{overflow: true}
	}
	return time.Duration(ticks) * defaultUnit, nil
}

// timeMessage is HAProxy's sentence for an error of parseTime in the value arg of keyword.
func timeMessage(err error, arg, keyword string) string {
	var e *unitError
	switch {
	case !errors.As(err, &e):
		return err.Error()
	case e.overflow:
		return fmt.Sprintf("timer overflow in argument '%s' to '%s' (maximum value is 2147483647 ms or ~24.8 days)", arg, keyword)
	case e.char == 0:
		return fmt.Sprintf("'%s' expects an integer value (in milliseconds)", keyword)
	case e.afterUnit:
		return fmt.Sprintf("unexpected character '%c' after the timer value '%s' in '%s'", e.char, arg, keyword)
	}
	return fmt.Sprintf("unexpected character '%c' in '%s'", e.char, keyword)
}

// parseSize reads an integer with an optional k, m or g (powers of 1024, either case). Every error is a *unitError.
func parseSize(s string) (int, error) {
	if s == "" {
		return 0, &unitError{}
	}
	value, rest, overflow := leadingDigits(s)
	if len(rest) == len(s) {
		return 0, &unitError{char: s[0]}
	}
	shift := 0
	if rest != "" {
		switch rest[0] {
		case 'k', 'K':
			shift = 10
		case 'm', 'M':
			shift = 20
		case 'g', 'G':
			shift = 30
		default:
			return 0, &unitError{char: rest[0]}
		}
		if len(rest) > 1 {
			return 0, &unitError{char: rest[1], afterUnit: true}
		}
	}
	if overflow || value > math.MaxInt64>>shift {
		return 0, &unitError{overflow: true}
	}
	return int(value << shift), nil
}

// leadingDigits reads the decimal number that s begins with and returns the rest.
func leadingDigits(s string) (value uint64, rest string, overflow bool) {
	i := 0
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		digit := uint64(s[i] - '0')
		if value > (math.MaxUint64-digit)/10 {
			overflow = true
			continue
		}
		value = value*10 + digit
	}
	return value, s[i:], overflow
}

// parseAtol reads a number as C's atol does: blanks, a sign and digits count, whatever follows is
// ignored, no digits mean zero. Several keywords of HAProxy take their values so. The result
// saturates at the limits of a 32-bit integer.
func parseAtol(s string) int {
	i := 0
	for i < len(s) && (s[i] == ' ' || s[i] >= '\t' && s[i] <= '\r') {
		i++
	}
	negative := false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	value, _, overflow := leadingDigits(s[i:])
	if overflow || value > math.MaxInt32 {
		value = math.MaxInt32
	}
	if negative {
		return -int(value)
	}
	return int(value)
}
