package main

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxBody is the longest body in bytes that is read. A guest's memory never shrinks, so one long answer would stay.
	maxBody = 64 << 10
	// maxDepth is how deep a document may be nested.
	maxDepth = 16
)

// An answer is what the token service sent. It is not to be trusted.
type answer struct {
	headers [][2]string // empty when there was no answer
	body    []byte      // at most maxBody
	size    int         // of the whole body
}

// A failure is why a fetch brought no token.
type failure struct {
	reason reason
	text   string
}

// A reason is a kind of failure. Each has a metric.
type reason int

const (
	notSent    reason = iota // the host refused the callout: mostly, the cluster is not known to this proxy
	noAnswer                 // the stream ended without an answer
	badStatus                // not 200; Envoy answers for a service that is down or slow, with 503 or 504
	tooLarge                 // the body is longer than maxBody
	noToken                  // the token is not where it should be
	badToken                 // the token is there, and cannot be used
	noLifetime               // the lifetime is not where it should be, or over
	reasons                  // how many there are
)

// readAnswer takes the token out of the answer to what was asked at an instant.
func (c *config) readAnswer(a answer, asked, now instant) (token, *failure) {
	switch status, n := a.header(":status"); {
	case n == 0:
		return token{}, &failure{noAnswer, "no answer"}
	case status != "200":
		return token{}, &failure{badStatus, "want status 200, got " + status}
	case a.size > maxBody:
		return token{}, &failure{tooLarge, "body of " + strconv.Itoa(a.size) + " bytes"}
	}
	var fromBody [2]scalar
	if c.token.json != "" || c.lifetime.json != "" {
		found, err := find(a.body, c.token.json, c.lifetime.json)
		if err != nil {
			return token{}, &failure{noToken, "reading the body: " + err.Error()}
		}
		copy(fromBody[:], found)
	}
	value, f := c.readToken(a, fromBody[0])
	if f != nil {
		return token{}, f
	}
	t := token{value: value, since: asked}
	if t.expiry, f = c.readExpiry(value, fromBody[1], asked); f != nil {
		return token{}, f
	}
	lifetime := min(t.expiry, asked.add(maxLifetime)).sub(asked)
	if t.expiry = asked.add(lifetime - min(lifetime/10, maxTransit)); t.expiry <= now {
		return token{}, &failure{noLifetime, "the token has expired"}
	}
	return t, nil
}

func (c *config) readToken(a answer, fromBody scalar) (string, *failure) {
	raw := fromBody.text
	if c.token.header != "" {
		var n int
		if raw, n = a.header(c.token.header); n > 1 {
			return "", &failure{badToken, "the token's header came " + strconv.Itoa(n) + " times"}
		}
	} else if fromBody.kind != jsontext.KindString {
		raw = ""
	}
	if raw == "" {
		return "", &failure{noToken, "no token in the answer"}
	}
	value, ok := cleanToken(raw)
	if !ok {
		return "", &failure{badToken, "a token of " + strconv.Itoa(len(raw)) + " bytes is too long, or not printable ASCII without spaces"}
	}
	return value, nil
}

func (c *config) readExpiry(value string, fromBody scalar, asked instant) (instant, *failure) {
	switch {
	case c.lifetime.fixed != 0:
		return asked.add(c.lifetime.fixed), nil
	case c.lifetime.jwt:
		seconds, ok := jwtExpiry(value)
		if !ok {
			return 0, &failure{noLifetime, "the token is no JWT with an exp"}
		}
		return instant(seconds * 1000), nil
	default:
		// Some services send the number as a string.
		seconds, ok := parseSeconds(fromBody.text)
		if !ok {
			return 0, &failure{noLifetime, "no number of seconds in the answer"}
		}
		return asked + instant(seconds*1000), nil
	}
}

// header returns the first value of a header and how many there are.
func (a answer) header(name string) (value string, n int) {
	for _, h := range a.headers {
		if h[0] == name {
			if n == 0 {
				value = h[1]
			}
			n++
		}
	}
	return value, n
}

// A scalar is a string or number in a JSON document, or nothing.
type scalar struct {
	kind jsontext.Kind
	text string
}

// find reads a document to its end and returns the string or number at each pointer. An empty pointer finds nothing.
//
// It reads token by token with a bounded depth: reading whole values would recurse, and a guest's stack is 64 KiB.
func find(document []byte, pointers ...string) ([]scalar, error) {
	found := make([]scalar, len(pointers))
	d := jsontext.NewDecoder(bytes.NewBuffer(document))
	for {
		kind := d.PeekKind()
		if kind != jsontext.KindString && kind != jsontext.KindNumber {
			if _, err := d.ReadToken(); err == io.EOF && documents(d) == 1 {
				return found, nil
			} else if err != nil {
				return nil, errNotJSON
			}
			if d.StackDepth() > maxDepth {
				return nil, errTooDeep
			}
			continue
		}
		raw, err := d.ReadValue()
		if err != nil {
			return nil, errNotJSON
		}
		for i, pointer := range pointers {
			if pointer == "" || isName(d) || strings.Count(pointer, "/") != d.StackDepth() || pointer != string(d.StackPointer()) {
				continue
			}
			text := []byte(raw)
			if kind == jsontext.KindString {
				if text, err = jsontext.AppendUnquote(nil, raw); err != nil {
					return nil, errNotJSON
				}
			}
			found[i] = scalar{kind, string(text)}
		}
	}
}

// The errors of jsontext quote the document, and the document holds the token.
var (
	errNotJSON = errors.New("not a JSON document")
	errTooDeep = errors.New("nested deeper than " + strconv.Itoa(maxDepth))
)

// documents is how many documents the decoder has read or begun.
func documents(d *jsontext.Decoder) int64 {
	_, n := d.StackIndex(0)
	return n
}

// isName tells whether the decoder has just read the name of an object's member, not a value.
func isName(d *jsontext.Decoder) bool {
	kind, n := d.StackIndex(d.StackDepth())
	return kind == jsontext.KindBeginObject && n%2 == 1
}
