package example

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Message is a request as it reached a server, or a response as it reached the client, without what differs from run to run.
type Message struct {
	Method  string
	Path    string
	Status  int
	Headers map[string][]string // names in lower case
	Body    string
}

// Seen is what became of one request. It is the same in every run, so that two modules can be compared.
type Seen struct {
	Upstream *Message // nil when the request did not reach it
	Client   *Message
}

// Differences says how the message is not as wanted; what names it.
func (w *Want) Differences(what string, m *Message) (found []string) {
	if w == nil {
		return nil
	}
	wantsIt := w.Reached == nil || *w.Reached
	switch {
	case wantsIt && m == nil:
		return []string{what + " was not reached"}
	case !wantsIt && m != nil:
		return []string{what + " must not be reached"}
	case m == nil:
		return nil
	}
	differs := func(field string, want, got any) {
		found = append(found, fmt.Sprintf("%s: %s: want %s, got %s", what, field, want, got))
	}
	if w.Status != 0 && w.Status != m.Status {
		differs("status", fmt.Sprint(w.Status), fmt.Sprintf("%d: %.200q", m.Status, m.Body))
	}
	if w.Method != "" && w.Method != m.Method {
		differs("method", w.Method, m.Method)
	}
	if w.Path != "" && !matches(w.Path, m.Path) {
		differs("path", w.Path, m.Path)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Headers)) {
		want, got := w.Headers[name], m.Headers[name]
		if !slices.EqualFunc(want, got, matches) {
			differs("header "+name, quoted(want), quoted(got))
		}
	}
	if w.Body != nil && !matches(*w.Body, m.Body) {
		differs("body", fmt.Sprintf("%q", *w.Body), fmt.Sprintf("%.500q", m.Body))
	}
	return found
}

func quoted(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	var q []string
	for _, v := range values {
		q = append(q, fmt.Sprintf("%q", v))
	}
	return strings.Join(q, ", ")
}

func matches(want, got string) bool {
	if pattern, ok := pattern(want); ok {
		return regexp.MustCompile(pattern).MatchString(got) // check has compiled it
	}
	return want == got
}

// pattern is the regular expression of a text between slashes.
func pattern(s string) (string, bool) {
	if len(s) < 3 || s[0] != '/' || s[len(s)-1] != '/' {
		return "", false
	}
	return s[1 : len(s)-1], true
}
