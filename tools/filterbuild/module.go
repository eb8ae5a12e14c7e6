package main

import (
	"encoding/binary"
	"strings"
)

const exportSection, customSection = 7, 0

// withoutExports rewrites the export section of a valid module and leaves out names and what else is for debuggers; every other
// byte stays.
func withoutExports(module []byte, drop map[string]bool) []byte {
	const header = 8
	out := append([]byte{}, module[:header]...)
	for rest := module[header:]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		body := rest[1+n:][:size]
		rest = rest[1+n+int(size):]
		if id == customSection && forDebuggers(body) {
			continue
		}
		if id == exportSection {
			body = keptExports(body, drop)
		}
		out = append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
	}
	return out
}

func forDebuggers(section []byte) bool {
	size, n := binary.Uvarint(section)
	name := string(section[n:][:size])
	return name == "name" || strings.HasPrefix(name, ".debug_")
}

func keptExports(section []byte, drop map[string]bool) []byte {
	count, n := binary.Uvarint(section)
	var kept []byte
	var keptCount uint64
	for rest := section[n:]; count > 0; count-- {
		size, n := binary.Uvarint(rest)
		kind := n + int(size)
		_, index := binary.Uvarint(rest[kind+1:])
		entry := rest[:kind+1+index]
		rest = rest[len(entry):]
		if name := entry[n:kind]; !drop[string(name)] {
			kept = append(kept, entry...)
			keptCount++
		}
	}
	return append(binary.AppendUvarint(nil, keptCount), kept...)
}
