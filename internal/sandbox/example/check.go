package example

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// check refuses what would be no test, or another one than was meant.
func (e *Example) check() error {
	var found []finding
	wrong := func(path []any, format string, args ...any) {
		found = append(found, finding{e.line(path...), fmt.Sprintf(format, args...)})
	}
	if e.Description == "" {
		wrong(nil, "description is missing. say in one line what the example shows")
	}
	if e.Workers < 0 || e.Workers > 64 {
		wrong([]any{"workers"}, "workers %d: want 1 to 64", e.Workers)
	}
	if len(e.Requests) == 0 {
		wrong(nil, "requests is missing. an example sends at least one")
	}
	for name, s := range e.Services {
		path := []any{"services", name}
		if _, port, err := net.SplitHostPort(name); err != nil || !isPort(port) {
			wrong(path, "service %q: want host:port, such as token.internal:80", name)
		}
		if len(s.Answers) == 0 {
			wrong(path, "service %q has no answers. {fault: down} is one", name)
		}
		for i, a := range s.Answers {
			e.checkAnswer(wrong, append(slices.Clone(path), "answers", i), a)
			if a.Fault == Down && len(s.Answers) > 1 {
				wrong(append(slices.Clone(path), "answers", i), "a service that is down has no other answer")
			}
		}
		e.checkWant(wrong, append(slices.Clone(path), "sees"), s.Sees, "status", "reached")
	}
	for i, r := range e.Requests {
		path := []any{"requests", i}
		if r.Path != "" && !strings.HasPrefix(r.Path, "/") {
			wrong(path, "path %q: want one that starts with /", r.Path)
		}
		if r.Times < 0 || r.Within < 0 {
			wrong(path, "times and within: want no negative number")
		}
		if r.Upstream == nil && r.Client == nil {
			wrong(path, "upstream and client are missing. say what one of them must see")
		}
		if r.Answer.Fault == Down {
			wrong(append(slices.Clone(path), "answer"), "the upstream cannot be down for one request. want reset, silence or cut")
		}
		e.checkAnswer(wrong, append(slices.Clone(path), "answer"), r.Answer)
		e.checkWant(wrong, append(slices.Clone(path), "upstream"), r.Upstream, "status")
		e.checkWant(wrong, append(slices.Clone(path), "client"), r.Client, "method", "path", "reached")
	}
	slices.SortFunc(found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.line, b.line), strings.Compare(a.text, b.text))
	})
	var errs []error
	for _, f := range found {
		errs = append(errs, fmt.Errorf("%s:%d: %s", e.File, f.line, f.text))
	}
	return errors.Join(errs...)
}

type finding struct {
	line int
	text string
}

type wrongFunc func(path []any, format string, args ...any)

func (e *Example) checkAnswer(wrong wrongFunc, path []any, a Answer) {
	if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
		wrong(path, "status %d: want 200 to 599", a.Status)
	}
	if a.Fault != "" && !slices.Contains(Faults, a.Fault) {
		wrong(path, "fault %q: want one of %s", a.Fault, strings.Join(Faults, ", "))
	}
}

// checkWant refuses the keys that make no sense for this message.
func (e *Example) checkWant(wrong wrongFunc, path []any, w *Want, without ...string) {
	if w == nil {
		return
	}
	given := map[string]bool{"status": w.Status != 0, "reached": w.Reached != nil, "method": w.Method != "", "path": w.Path != ""}
	for _, key := range without {
		if given[key] {
			wrong(append(slices.Clone(path), key), "%s has no %s", path[len(path)-1], key)
		}
	}
	if w.Reached == nil && w.Status == 0 && w.Method == "" && w.Path == "" && len(w.Headers) == 0 && w.Body == nil {
		wrong(path, "%s wants nothing", path[len(path)-1])
	}
	if w.Reached != nil && !*w.Reached && (w.Method != "" || w.Path != "" || len(w.Headers) > 0 || w.Body != nil) {
		wrong(path, "a request that must not arrive cannot be compared")
	}
	texts := []string{w.Path}
	if w.Body != nil {
		texts = append(texts, *w.Body)
	}
	for name, values := range w.Headers {
		if name != strings.ToLower(name) {
			wrong(append(slices.Clone(path), "headers", name), "header %q: want it in lower case", name)
		}
		texts = append(texts, values...)
	}
	for _, text := range texts {
		if pattern, ok := pattern(text); ok {
			if _, err := regexp.Compile(pattern); err != nil {
				wrong(path, "%s: %v", text, err)
			}
		}
	}
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 1<<16
}

// at is file:line of what the path leads to.
func (e *Example) at(path ...any) string { return fmt.Sprintf("%s:%d", e.File, e.line(path...)) }

// line is that of what the path leads to, or of the nearest thing above it.
func (e *Example) line(path ...any) int {
	node := e.document
	if node.Kind == yaml.DocumentNode {
		node = node.Content[0]
	}
	line := max(node.Line, 1)
	for _, step := range path {
		node = child(node, step)
		if node == nil {
			break
		}
		line = node.Line
	}
	return line
}

func child(node *yaml.Node, step any) *yaml.Node {
	switch step := step.(type) {
	case string:
		for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
			if node.Content[i].Value == step {
				// The line of the key: a value may begin on the next one.
				value := *node.Content[i+1]
				value.Line = node.Content[i].Line
				return &value
			}
		}
	case int:
		if node.Kind == yaml.SequenceNode && step < len(node.Content) {
			return node.Content[step]
		}
	}
	return nil
}
