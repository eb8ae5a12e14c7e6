// Package testmodule writes small modules with one thing in each that an Envoy may or may not take.
package testmodule

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Function is an import or an export with its signature, such as "i32 i32 -> i32". An export may have instructions of its own.
type Function struct {
	Module, Name, Signature string
	Body                    []byte
}

// Module is what differs from a module that every Envoy loads.
type Module struct {
	ABI     string     // 0.2.0 when empty
	ABIs    []string   // exports of more than one, in this order, in place of ABI
	Imports []Function // functions
	Exports []Function // functions that do nothing and return zeros; one of the usual name replaces it
	Without []string   // exports that are left out
	Pages   uint32     // of memory; 1 when 0
	Other   [][]byte   // more entries of the import section
	Raw     []byte     // sections that are put at the end
}

// Build encodes it.
func (m Module) Build() []byte {
	abis := m.ABIs
	if len(abis) == 0 {
		abis = []string{m.ABI}
		if m.ABI == "" {
			abis = []string{"0.2.0"}
		}
	}
	var exports []Function
	for _, abi := range abis {
		exports = append(exports, Function{Name: "proxy_abi_version_" + strings.ReplaceAll(abi, ".", "_"), Signature: "->"})
	}
	exports = append(exports, []Function{
		{Name: "proxy_on_memory_allocate", Signature: "i32 -> i32"},
		{Name: "_initialize", Signature: "->"},
		{Name: "proxy_on_context_create", Signature: "i32 i32 ->"},
		{Name: "proxy_on_vm_start", Signature: "i32 i32 -> i32"},
		{Name: "proxy_on_configure", Signature: "i32 i32 -> i32"},
	}...)
	for _, e := range m.Exports {
		exports = without(exports, e.Name)
	}
	exports = append(exports, m.Exports...)
	for _, name := range m.Without {
		exports = without(exports, name)
	}

	var types, imports, functions, exported, code [][]byte
	for _, f := range append(append([]Function{}, m.Imports...), exports...) {
		types = append(types, signature(f.Signature))
	}
	for i, f := range m.Imports {
		imports = append(imports, concat(text(f.Module), text(f.Name), []byte{0}, number(i)))
	}
	imports = append(imports, m.Other...)
	for i, f := range exports {
		index := len(m.Imports) + i
		functions = append(functions, number(index))
		exported = append(exported, concat(text(f.Name), []byte{0}, number(index)))
		code = append(code, body(f))
	}
	if !slices.Contains(m.Without, "memory") {
		exported = append(exported, concat(text("memory"), []byte{2, 0}))
	}
	return concat([]byte("\x00asm\x01\x00\x00\x00"), section(1, types), section(2, imports), section(3, functions),
		section(5, [][]byte{concat([]byte{0}, number(max(1, int(m.Pages))))}), section(7, exported), section(10, code), m.Raw)
}

// body returns a 1 where one is asked for: true of proxy_on_vm_start, an address of an allocator.
func body(f Function) []byte {
	_, results, _ := strings.Cut(f.Signature, "->")
	b := append([]byte{0}, f.Body...) // no locals
	if len(f.Body) > 0 {
		b = append(b, 0x0b)
		return concat(number(len(b)), b)
	}
	for _, r := range strings.Fields(results) {
		switch r {
		case "i32":
			b = append(b, 0x41, 1)
		case "i64":
			b = append(b, 0x42, 1)
		case "f32":
			b = append(b, 0x43, 0, 0, 0, 0)
		case "f64":
			b = append(b, 0x44, 0, 0, 0, 0, 0, 0, 0, 0)
		}
	}
	b = append(b, 0x0b)
	return concat(number(len(b)), b)
}

func signature(s string) []byte {
	params, results, _ := strings.Cut(s, "->")
	return concat([]byte{0x60}, values(params), values(results))
}

func values(s string) []byte {
	fields := strings.Fields(s)
	b := number(len(fields))
	for _, f := range fields {
		b = append(b, map[string]byte{"i32": 0x7f, "i64": 0x7e, "f32": 0x7d, "f64": 0x7c}[f])
	}
	return b
}

func section(id byte, entries [][]byte) []byte {
	if len(entries) == 0 {
		return nil
	}
	body := concat(append([][]byte{number(len(entries))}, entries...)...)
	return concat([]byte{id}, number(len(body)), body)
}

func without(list []Function, name string) []Function {
	var kept []Function
	for _, f := range list {
		if f.Name != name {
			kept = append(kept, f)
		}
	}
	return kept
}

func text(s string) []byte { return concat(number(len(s)), []byte(s)) }

func number(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
