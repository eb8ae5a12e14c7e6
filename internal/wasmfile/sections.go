package wasmfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The sections of a module that say what it is to its host. Code is not looked at: wazero validates it where it can, and Envoy
// takes features that wazero does not know.

// reader reads a section; after the first error everything is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail() { r.err, r.rest = errors.New("truncated or invalid wasm module"), nil }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// count is a number of entries, of which each has at least a byte.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// value is a type of values; what wazero does not know has a name of its own here, so that no signature is taken for another.
func (r *reader) value() string {
	switch b := r.byte(); b {
	case 0x7f:
		return "i32"
	case 0x7e:
		return "i64"
	case 0x7d:
		return "f32"
	case 0x7c:
		return "f64"
	case 0x63, 0x64: // a reference to a type
		return fmt.Sprintf("ref %x %d", b, r.number())
	default:
		return "type " + strconv.Itoa(int(b))
	}
}

func (r *reader) signature() string {
	words := func() string {
		var all []string
		for range r.count() {
			all = append(all, r.value())
		}
		return strings.Join(all, " ")
	}
	params := words()
	return strings.TrimSpace(params + " -> " + words())
}

// kind reads one type and returns the signatures that it adds to the index: a group may add several, a structure adds "".
// A group holds subtypes, and a subtype a type: no deeper.
func (r *reader) kind(depth int) []string {
	if depth > 2 {
		r.fail()
		return nil
	}
	switch form := r.byte(); form {
	case 0x60:
		return []string{r.signature()}
	case 0x5f: // a structure
		for range r.count() {
			r.value()
			r.byte()
		}
		return []string{""}
	case 0x5e: // an array
		r.value()
		r.byte()
		return []string{""}
	case 0x50, 0x4f: // a subtype
		for range r.count() {
			r.number()
		}
		return r.kind(depth + 1)
	case 0x4e: // a group
		var all []string
		for range r.count() {
			all = append(all, r.kind(depth+1)...)
		}
		return all
	default:
		r.fail()
		return nil
	}
}

// limits returns the least size.
func (r *reader) limits() uint64 {
	flags := r.byte()
	least := r.number()
	if flags&1 != 0 {
		r.number()
	}
	return least
}

// sections reads types, imports, functions, memories and exports.
func (m *Module) sections(module []byte) error {
	var types, functions []string
	var memories []uint64
	last := &reader{rest: module[8:]}
	for len(last.rest) > 0 && last.err == nil {
		id := last.byte()
		r := &reader{rest: last.bytes()}
		switch id {
		case 1:
			for range r.count() {
				types = append(types, r.kind(0)...)
			}
		case 2:
			for range r.count() {
				i := Import{Module: string(r.bytes()), Name: string(r.bytes())}
				switch kind := r.byte(); kind {
				case 0:
					i.Signature = at(types, r.number())
					functions = append(functions, i.Signature)
				case 1:
					i.Kind = "table"
					r.value()
					r.limits()
				case 2:
					i.Kind = "memory"
					memories = append(memories, r.limits())
				case 3:
					i.Kind = "global"
					r.value()
					r.byte()
				default:
					i.Kind = "tag"
					r.byte()
					r.number()
				}
				m.Imports = append(m.Imports, i)
			}
		case 3:
			for range r.count() {
				functions = append(functions, at(types, r.number()))
			}
		case 5:
			for range r.count() {
				memories = append(memories, r.limits())
			}
		case 7:
			for range r.count() {
				name := string(r.bytes())
				kind, index := r.byte(), r.number()
				switch kind {
				case 0:
					m.Exports = append(m.Exports, name)
					m.signatures[name] = at(functions, index)
					if m.functions != nil {
						m.functions[int(index)] = name
					}
				case 2:
					if index < uint64(len(memories)) {
						m.MemoryBytes = memories[index] * pageBytes
					}
				}
			}
		}
		if r.err != nil {
			return fmt.Errorf("section %d: %w", id, r.err)
		}
	}
	return last.err
}

func at(list []string, index uint64) string {
	if index < uint64(len(list)) {
		return list[index]
	}
	return ""
}
