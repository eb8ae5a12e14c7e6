package wasmfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Part is a piece of a module that somebody can look up: a section, or in code a function, in data a segment.
type Part struct {
	Name         string // "code function 7 (malloc)"; "end" behind the last
	Offset, Size int    // of its content in the module

	kind    string // Name without what the module calls it
	content []byte
}

// Difference is where two modules first differ.
type Difference struct {
	A, B Part
	Same int // bytes at the start of both parts that are equal
}

// FirstDifference compares two modules part by part, so that a function of another size is named and not the section's length before it.
// Truncated modules are compared as far as they go. False when they are equal.
func FirstDifference(a, b []byte) (Difference, bool) {
	if bytes.Equal(a, b) {
		return Difference{}, false
	}
	left, right := parts(a), parts(b)
	for i := range min(len(left), len(right)) {
		if l, r := left[i], right[i]; l.kind != r.kind {
			return Difference{A: l, B: r}, true
		} else if !bytes.Equal(l.content, r.content) {
			return Difference{l, r, same(l.content, r.content)}, true
		}
	}
	// The content is the same: what differs is how a number between the parts was written, such as a length.
	at := same(a, b)
	between := func(module []byte) Part {
		return Part{Name: "a length or a count", Offset: at, Size: len(module) - at}
	}
	return Difference{A: between(a), B: between(b)}, true
}

func same(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Sections by their number; a custom section has a name of its own.
var sectionNames = []string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count", "tag"}

// parts are those of a module in its order, and its end. What cannot be read is one part.
func parts(module []byte) []Part {
	header := min(8, len(module))
	all := []Part{{Name: "header", kind: "header", Size: header, content: module[:header]}}
	names, imported := functionNames(module)
	add := func(kind, called string, content, rest []byte) {
		name := kind
		if called != "" {
			name += " (" + called + ")"
		}
		all = append(all, Part{name, len(module) - len(rest) - len(content), len(content), kind, content})
	}
	for r := (&reader{rest: module[header:]}); len(r.rest) > 0; {
		id := r.byte()
		kind := "section " + strconv.Itoa(int(id))
		if int(id) < len(sectionNames) {
			kind = sectionNames[id]
		}
		content := r.some()
		behind := r.rest
		s := &reader{rest: content}
		// What of the module is behind what s has just read.
		rest := func() []byte { return module[len(module)-len(behind)-len(s.rest):] }
		switch id {
		case 0:
			add(kind+" "+strconv.Quote(string(s.some())), "", content, behind)
		case 10:
			// A part without content: that an empty section is there is a difference, too.
			add(kind, "", content[:0], rest())
			s.number()
			for i := imported; len(s.rest) > 0; i++ {
				body := s.some()
				add(fmt.Sprintf("%s function %d", kind, i), names[i], body, rest())
			}
		case 11:
			add(kind, "", content[:0], rest())
			s.number()
			for i := 0; len(s.rest) > 0; i++ {
				before := s.rest
				s.segment()
				segment := before[:len(before)-len(s.rest)]
				add(fmt.Sprintf("%s segment %d", kind, i), "", segment, rest())
			}
		default:
			add(kind, "", content, behind)
		}
	}
	return append(all, Part{Name: "end", kind: "end", Offset: len(module)})
}

// some is bytes for what may be truncated: as many as there are.
func (r *reader) some() []byte {
	size, n := binary.Uvarint(r.rest)
	n = max(n, 0)
	from, left := r.rest[n:], uint64(len(r.rest)-n)
	if n == 0 {
		size = left // not a number: take the rest as it is
	}
	size = min(size, left)
	r.rest = from[size:]
	return from[:size]
}

// segment goes over a segment of data: where it goes, and its bytes. One in a form that is not known is the rest.
func (r *reader) segment() {
	flags := r.number()
	if flags == 2 {
		r.number() // of the memory
	}
	if flags != 1 {
		switch r.byte() {
		case 0x41, 0x42, 0x23: // a constant, or a global
			r.number()
		default:
			r.fail()
		}
		if r.byte() != 0x0b {
			r.fail()
		}
	}
	r.some()
}

// functionNames are what a module calls its functions, in its custom section "name" or as exports, and how many it imports. A module that
// cannot be read to the end names those that were read.
func functionNames(module []byte) (names map[int]string, imported int) {
	m := &Module{signatures: map[string]string{}, functions: map[int]string{}}
	if len(module) < 8 {
		return m.functions, 0
	}
	_ = m.sections(module)
	for _, i := range m.Imports {
		if i.Kind == "" {
			imported++
		}
	}
	for r := (&reader{rest: module[8:]}); len(r.rest) > 0; {
		id := r.byte()
		s := &reader{rest: r.some()}
		if id != 0 || string(s.bytes()) != "name" {
			continue
		}
		for len(s.rest) > 0 {
			of := s.byte()
			sub := &reader{rest: s.bytes()}
			if of != 1 { // of functions
				continue
			}
			for range sub.count() {
				index, name := sub.number(), string(sub.bytes())
				if sub.err == nil {
					m.functions[int(index)] = name
				}
			}
		}
	}
	return m.functions, imported
}
