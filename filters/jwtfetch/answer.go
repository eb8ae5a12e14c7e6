package main

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// maxBody is the longest body in bytes that is read. A guest's memory never shrinks, so one long answer would stay.
const maxBody = 64 << 10

// An answer is what the token service sent. It is not to be trusted.
type answer struct {
	headers [][2]string // empty when there was no answer
	body    []byte      // at most maxBody
	size    int         // of the whole body
}

// A failure is why a fetch brought no token.
type failure struct {
	reason     reason
	text       string
	variable   string        // the name of a variable that is not there
	retryAfter time.Duration // what the service asked for
}

// A reason is a kind of failure. Each has a metric.
type reason int

const (
	notSent    reason = iota // the host refused the callout: mostly, the cluster is not known to this proxy
	noSecret                 // a variable of the environment is not there
	noAnswer                 // the stream ended without an answer
	badStatus                // not 2xx; Envoy answers for a service that is down or slow, with 503 or 504
	tooLarge                 // the body is longer than maxBody
	noToken                  // the token is not where it should be
	badToken                 // the token is there, and cannot be used
	noLifetime               // the lifetime is not where it should be, or none, or over
	reasons                  // how many there are
)

// readAnswer takes the token out of the answer to what was asked at an instant.
func (c *config) readAnswer(a answer, asked, now instant) (token, *failure) {
	switch status, n := a.header(":status"); {
	case n == 0:
		return token{}, &failure{reason: noAnswer, text: "no answer"}
	case len(status) != 3 || status[0] != '2':
		return token{}, &failure{reason: badStatus, text: "want status 2xx, got " + status + a.oauthError(), retryAfter: a.retryAfter(now)}
	case a.size > maxBody:
		return token{}, &failure{reason: tooLarge, text: "body of " + strconv.Itoa(a.size) + " bytes"}
	}
	var body struct{ token, lifetime, time scalar }
	if c.token.json != "" || c.lifetime.json != "" || c.lifetime.jsonTime != "" {
		found, err := find(a.body, c.token.json, c.lifetime.json, c.lifetime.jsonTime)
		if err != nil {
			return token{}, &failure{reason: noToken, text: "reading the body: " + err.Error()}
		}
		body.token, body.lifetime, body.time = found[0], found[1], found[2]
	}
	value, f := c.readToken(a, body.token)
	if f != nil {
		return token{}, f
	}
	t := token{value: value, since: asked}
	if t.expiry, f = c.readExpiry(value, body.lifetime, body.time, asked); f != nil {
		return token{}, f
	}
	if t.expiry <= now {
		ago := strconv.FormatInt(int64(now-t.expiry)/1000, 10)
		return token{}, &failure{reason: noLifetime, text: "the token expired " + ago + " s ago by this proxy's clock"}
	}
	t.expiry = min(t.expiry, asked.add(maxLifetime))
	if c.until(t) <= now {
		return token{}, &failure{reason: noLifetime, text: "the token lives for " + milliseconds(t.expiry, now) + " more, which is too short"}
	}
	return t, nil
}

func (c *config) readToken(a answer, body scalar) (string, *failure) {
	raw, place := body.text, "at "+c.token.json
	switch {
	case c.token.header != "":
		place = `in the header "` + c.token.header + `"`
		raw, body.n = a.header(c.token.header)
	case c.token.text:
		place, body.n = "in the body", 1
		raw = string(withoutMark(a.body))
	case body.n == 0:
	case body.kind != jsontext.KindString:
		return "", &failure{reason: noToken, text: "what is " + place + " is no string"}
	}
	raw = cleanToken(raw)
	switch {
	case body.n > 1:
		return "", &failure{reason: badToken, text: "the token " + place + " is there " + strconv.Itoa(body.n) + " times"}
	case raw == "":
		return "", &failure{reason: noToken, text: "no token " + place + a.oauthError()}
	case c.token.text && (raw[0] == '{' || raw[0] == '<'):
		return "", &failure{reason: badToken, text: "the body is JSON or HTML, and no token"}
	}
	if fault := tokenFault(raw, c.token.maxBytes); fault != "" {
		return "", &failure{reason: badToken, text: "the token " + place + " " + fault}
	}
	return raw, nil
}

// readExpiry asks the places where a lifetime can be, in this order, until one has it. One that has something else is an error, not
// a reason to ask the next.
func (c *config) readExpiry(value string, lifetime, at scalar, asked instant) (instant, *failure) {
	refuse := func(text string) (instant, *failure) { return 0, &failure{reason: noLifetime, text: text} }
	if lifetime.n > 0 {
		// Some services send the number as a string.
		n, ok := parseSeconds(lifetime.text)
		switch {
		case lifetime.n > 1:
			return refuse("the lifetime at " + c.lifetime.json + " is there " + strconv.Itoa(lifetime.n) + " times")
		case !ok:
			return refuse("what is at " + c.lifetime.json + " is no number of seconds")
		case n > maxLifetime.Milliseconds():
			return refuse("the number at " + c.lifetime.json +
				` is more than 30 days, so not a lifetime in seconds. for a time there is "jsonTime"`)
		}
		return asked + instant(n), nil
	}
	if at.n > 0 {
		t, ok := parseTime(at.text)
		switch {
		case at.n > 1:
			return refuse("the time at " + c.lifetime.jsonTime + " is there " + strconv.Itoa(at.n) + " times")
		case !ok:
			return refuse("what is at " + c.lifetime.jsonTime + " is no time: neither seconds or milliseconds since 1970 nor RFC 3339")
		}
		return t, nil
	}
	if c.lifetime.jwt {
		if exp, iat := jwtTimes(value); exp.n > 0 {
			n, ok := exp.number()
			if !ok {
				return refuse("the exp of the token is no number of seconds")
			}
			expiry := instant(n)
			// Where this proxy's clock is behind, exp alone would seem far away. The service's own clock wrote both.
			if issued, ok := iat.number(); ok && issued <= n {
				expiry = min(expiry, asked+expiry-instant(issued))
			}
			return expiry, nil
		}
	}
	if c.lifetime.fixed != 0 {
		return asked.add(c.lifetime.fixed), nil
	}
	text := "no lifetime:"
	for _, pointer := range []string{c.lifetime.json, c.lifetime.jsonTime} {
		if pointer != "" {
			text += " nothing at " + pointer + ","
		}
	}
	if c.lifetime.jwt {
		text += " the token is no JWT with an exp,"
	}
	return refuse(text[:len(text)-1])
}

// oauthError is the code of RFC 6749 that an answer without a token has, for the log. Its error_description is for people, and may
// hold what was sent.
func (a answer) oauthError() string {
	if a.size > maxBody {
		return ""
	}
	found, err := find(a.body, "/error")
	if err != nil || found[0].kind != jsontext.KindString || len(found[0].text) > 40 ||
		!all(found[0].text, func(c byte) bool { return 'a' <= c && c <= 'z' || c == '_' }) {
		return ""
	}
	return ", error " + found[0].text
}

// retryAfter is how long the service asks to be left alone, in seconds or until a date.
func (a answer) retryAfter(now instant) time.Duration {
	value, _ := a.header("retry-after")
	n, ok := parseSeconds(value)
	if !ok {
		if t, isDate := parseHTTPDate(value); isDate {
			n = int64(t - now)
		}
	}
	return time.Duration(min(max(n, 0), maxRetryAfter.Milliseconds())) * time.Millisecond
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
