package main

import (
	"strings"
	"time"
)

// An instant is a time in milliseconds since 1970. It goes into shared data as it is.
type instant int64

func (t instant) add(d time.Duration) instant { return t + instant(d.Milliseconds()) }

func (t instant) sub(u instant) time.Duration { return time.Duration(t-u) * time.Millisecond }

const (
	// maxMilliseconds is the largest number that is told apart, some 4 million years.
	maxMilliseconds = 1 << 57
	// Numbers of seconds from 2001 to the year 5138 are times, and so are numbers of milliseconds in between: no lifetime is so long.
	firstEpoch = 1_000_000_000 * 1000
	lastEpoch  = 100_000_000_000 * 1000
)

// parseSeconds reads a JSON number of seconds, rounded down to milliseconds. A number too large to be one is maxMilliseconds, so
// that it can be counted with; a negative one is none. strconv.ParseFloat would be 20 kB.
func parseSeconds(s string) (milliseconds int64, ok bool) {
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		if exponent, ok = parseExponent(s[i+1:]); !ok {
			return 0, false
		}
	}
	whole, fraction, hasFraction := strings.Cut(mantissa, ".")
	if !all(whole, isDigit) || hasFraction && !all(fraction, isDigit) {
		return 0, false
	}
	digits := whole + fraction
	for i := range len(whole) + exponent + 3 {
		switch {
		case i < len(digits):
			milliseconds = milliseconds*10 + int64(digits[i]-'0')
		case milliseconds == 0:
			return 0, true
		default:
			milliseconds *= 10
		}
		if milliseconds > maxMilliseconds {
			return maxMilliseconds, true
		}
	}
	return milliseconds, true
}

// parseExponent reads what follows the e of a number. Beyond some hundreds it makes no difference.
func parseExponent(s string) (exponent int, ok bool) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "+"), "-")
	if !all(digits, isDigit) || len(s)-len(digits) > 1 {
		return 0, false
	}
	for i := range len(digits) {
		exponent = min(exponent*10+int(digits[i]-'0'), 1<<16)
	}
	if s[0] == '-' {
		exponent = -exponent
	}
	return exponent, true
}

// parseTime reads a time as services write it: a number of seconds or milliseconds since 1970, or RFC 3339.
func parseTime(s string) (instant, bool) {
	if n, ok := parseSeconds(s); ok {
		switch {
		case firstEpoch <= n && n < lastEpoch:
			return instant(n), true
		case firstEpoch <= n/1000 && n/1000 < lastEpoch:
			return instant(n / 1000), true
		}
		return 0, false
	}
	return parseRFC3339(s)
}

// parseRFC3339 reads such as 2026-11-26T08:30:00.5Z. time.Parse would be 25 kB.
func parseRFC3339(s string) (instant, bool) {
	p := scanner{rest: s}
	year, month, day := p.digits(4), p.after("-", 2), p.after("-", 2)
	hour, minute, second := p.after("Tt ", 2), p.after(":", 2), p.after(":", 2)
	if p.isNext(".") {
		for p.rest != "" && isDigit(p.rest[0]) {
			p.rest = p.rest[1:] // a part of a second makes no difference
		}
	}
	offset := 0
	if !p.isNext("Zz") {
		sign := 1
		if strings.HasPrefix(p.rest, "-") {
			sign = -1
		}
		offset = sign * (p.after("+-", 2)*60 + p.after(":", 2))
	}
	return p.instant(year, month, day, hour, minute-offset, second)
}

// parseHTTPDate reads such as Sun, 06 Nov 1994 08:49:37 GMT. The two older forms of RFC 9110 are nobody's any more.
func parseHTTPDate(s string) (instant, bool) {
	_, rest, _ := strings.Cut(s, ", ")
	p := scanner{rest: rest}
	day := p.digits(2)
	month := 0
	if len(p.rest) >= 4 {
		// The names are told apart by where they stand; in between are no names.
		if i := strings.Index("JanFebMarAprMayJunJulAugSepOctNovDec", p.rest[1:4]); i >= 0 && i%3 == 0 && p.rest[0] == ' ' {
			month = i/3 + 1
		}
		p.rest = p.rest[4:]
	}
	year, hour, minute, second := p.after(" ", 4), p.after(" ", 2), p.after(":", 2), p.after(":", 2)
	p.failed = p.failed || p.rest != " GMT"
	p.rest = ""
	return p.instant(year, month, day, hour, minute, second)
}

// A scanner takes a time apart.
type scanner struct {
	rest   string
	failed bool
}

// isNext takes one byte of the set, if there is one.
func (p *scanner) isNext(set string) bool {
	if p.rest == "" || strings.IndexByte(set, p.rest[0]) < 0 {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// after takes one byte of the set and then n digits.
func (p *scanner) after(set string, n int) int {
	p.failed = !p.isNext(set) || p.failed
	return p.digits(n)
}

func (p *scanner) digits(n int) int {
	if len(p.rest) < n || !all(p.rest[:n], isDigit) {
		p.failed = true
		return 0
	}
	number := 0
	for _, c := range []byte(p.rest[:n]) {
		number = number*10 + int(c-'0')
	}
	p.rest = p.rest[n:]
	return number
}

// instant is the time of these numbers in UTC; minutes may be any.
func (p *scanner) instant(year, month, day, hour, minute, second int) (instant, bool) {
	if p.failed || p.rest != "" || month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || second > 60 {
		return 0, false
	}
	// Days since 1970, with years that begin in March: a leap day is then the last of a year.
	if month <= 2 {
		year, month = year-1, month+12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
	return instant(int64(days)*86_400+int64(hour*3600+minute*60+second)) * 1000, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
