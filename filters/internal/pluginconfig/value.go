package pluginconfig

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Text reads a string and keeps what check makes of it.
func Text(to *string, check func(string) (string, error)) Read {
	return func(d *Decoder) error {
		s, err := d.want(jsontext.KindString)
		if err != nil {
			return err
		}
		if s, err = check(s); err != nil {
			return d.refuse(err.Error())
		}
		*to = s
		return nil
	}
}

// Int reads a whole number from min to max, written with digits only.
func Int(to *int, min, max int) Read {
	return func(d *Decoder) error {
		s, err := d.want(jsontext.KindNumber)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < min || n > max {
			return d.refuse("want a whole number from " + strconv.Itoa(min) + " to " + strconv.Itoa(max))
		}
		*to = n
		return nil
	}
}

// Bool reads true or false.
func Bool(to *bool) Read {
	return func(d *Decoder) error {
		switch kind, _, err := d.next(); {
		case err != nil:
			return err
		case kind != jsontext.KindTrue && kind != jsontext.KindFalse:
			return d.refuse("want a boolean, got " + describe(kind))
		default:
			*to = kind == jsontext.KindTrue
			return nil
		}
	}
}

// True reads true, for a field that chooses among others by being there.
func True(to *bool) Read {
	return func(d *Decoder) error {
		var b bool
		if err := Bool(&b)(d); err != nil {
			return err
		}
		if !b {
			return d.refuse("want true, or the field left out")
		}
		*to = true
		return nil
	}
}

// Duration reads a duration such as "15s", from min to max, which are written the same way.
func Duration(to *time.Duration, min, max string) Read {
	return func(d *Decoder) error {
		var s string
		return Text(&s, func(s string) (string, error) {
			got, ok := parseDuration(s)
			low, _ := parseDuration(min)
			high, _ := parseDuration(max)
			if !ok || got < low || got > high {
				return "", errors.New(`want a duration from "` + min + `" to "` + max + `", with one unit of ms, s, m and h`)
			}
			*to = got
			return s, nil
		})(d)
	}
}

// parseDuration takes a whole number and one unit, which is all that JSON Schema can say too. time.ParseDuration takes more.
func parseDuration(s string) (time.Duration, bool) {
	digits := 0
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		digits++
	}
	unit := time.Millisecond
	switch s[digits:] {
	case "ms":
	case "s":
		unit = time.Second
	case "m":
		unit = time.Minute
	case "h":
		unit = time.Hour
	default:
		return 0, false
	}
	// Six digits of hours are far from an overflow, and nobody needs a seventh.
	if digits == 0 || digits > 6 {
		return 0, false
	}
	n, err := strconv.Atoi(s[:digits])
	return time.Duration(n) * unit, err == nil
}

// List reads an array of at most max elements; element makes the reader of one.
func List[T any](to *[]T, max int, element func(*T) Read) Read {
	return func(d *Decoder) error {
		switch kind, _, err := d.next(); {
		case err != nil:
			return err
		case kind != jsontext.KindBeginArray:
			return d.refuse("want an array, got " + describe(kind))
		}
		for d.json.PeekKind() != jsontext.KindEndArray {
			var v T
			if err := element(&v)(d); err != nil {
				return err
			}
			if len(*to) == max {
				return d.refuse("want at most " + strconv.Itoa(max) + " elements")
			}
			*to = append(*to, v)
		}
		_, _, err := d.next()
		return err
	}
}

// Scalar reads a string, a number, a boolean or null for a type of the filter's own. parse is given what describe calls its kind,
// and its text: that of a string without its quotes, of a number as it was written, true or false.
func Scalar(parse func(kind, text string) error) Read {
	return func(d *Decoder) error {
		kind, text, err := d.next()
		switch {
		case err != nil:
			return err
		case kind == jsontext.KindBeginObject || kind == jsontext.KindBeginArray:
			return d.refuse("want one value, got " + describe(kind))
		}
		if kind == jsontext.KindTrue || kind == jsontext.KindFalse {
			text = strconv.FormatBool(kind == jsontext.KindTrue)
		}
		if err := parse(describe(kind), text); err != nil {
			return d.refuse(err.Error())
		}
		return nil
	}
}
