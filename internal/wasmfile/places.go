package wasmfile

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// Places are the files and lines of a module's instructions, as its DWARF has them.
type Places struct {
	code    uint64 // where the code section begins: DWARF counts from there
	rows    []row  // sorted by address
	starts  map[start]bool
	inlined []inlined // outer ones before those in them
}

// inlined are the instructions of a function that the compiler has put into another one.
type inlined struct {
	low, high uint64
	called    start // where, in the other one
}

// start is the line in which a function is declared.
type start struct {
	file string
	line int
}

type row struct {
	address uint64
	file    string
	line    int
	end     bool // of a run of rows: no instruction is here
}

// ReadPlaces reads the DWARF of a module. A module without any is an error.
func ReadPlaces(module []byte) (*Places, error) {
	if len(module) < 8 {
		return nil, errors.New("truncated or invalid wasm module")
	}
	p := &Places{starts: map[start]bool{}}
	custom := map[string][]byte{}
	for rest := (&reader{rest: module[8:]}); len(rest.rest) > 0; {
		id := rest.byte()
		content := rest.bytes()
		if rest.err != nil {
			return nil, rest.err
		}
		switch id {
		case 0:
			r := &reader{rest: content}
			name := string(r.bytes())
			custom[name] = r.rest
		case 10:
			p.code = uint64(len(module) - len(rest.rest) - len(content))
		}
	}
	if custom[".debug_line"] == nil {
		return nil, errors.New("the module has no debug information")
	}
	data, err := dwarf.New(custom[".debug_abbrev"], nil, nil, custom[".debug_info"], custom[".debug_line"], nil, custom[".debug_ranges"], custom[".debug_str"])
	if err != nil {
		return nil, fmt.Errorf("reading debug information: %w", err)
	}
	var files []*dwarf.LineFile
	for entries := data.Reader(); ; {
		e, err := entries.Next()
		if err != nil {
			return nil, fmt.Errorf("reading debug information: %w", err)
		}
		if e == nil {
			break
		}
		switch e.Tag {
		case dwarf.TagCompileUnit:
			if files, err = p.unit(data, e); err != nil {
				return nil, fmt.Errorf("reading lines: %w", err)
			}
		case dwarf.TagSubprogram:
			file, ok := e.Val(dwarf.AttrDeclFile).(int64)
			line, known := e.Val(dwarf.AttrDeclLine).(int64)
			if ok && known && file >= 0 && file < int64(len(files)) && files[file] != nil {
				p.starts[start{files[file].Name, int(line)}] = true
			}
		case dwarf.TagInlinedSubroutine:
			ranges, err := data.Ranges(e)
			if err != nil {
				return nil, fmt.Errorf("reading debug information: %w", err)
			}
			in := inlined{}
			file, ok := e.Val(dwarf.AttrCallFile).(int64)
			line, known := e.Val(dwarf.AttrCallLine).(int64)
			if !ok || !known || file < 0 || file >= int64(len(files)) || files[file] == nil {
				continue
			}
			in.called = start{files[file].Name, int(line)}
			for _, r := range ranges {
				in.low, in.high = r[0], r[1]
				p.inlined = append(p.inlined, in)
			}
		}
	}
	slices.SortStableFunc(p.rows, func(a, b row) int {
		switch {
		case a.address < b.address || a.address == b.address && a.end && !b.end:
			return -1
		case a.address > b.address || a.address == b.address && b.end && !a.end:
			return 1
		}
		return 0
	})
	return p, nil
}

// unit reads the lines of a unit of compilation and returns its files, by number.
func (p *Places) unit(data *dwarf.Data, unit *dwarf.Entry) ([]*dwarf.LineFile, error) {
	lines, err := data.LineReader(unit)
	if err != nil || lines == nil {
		return nil, err
	}
	var entry dwarf.LineEntry
	for {
		if err := lines.Next(&entry); errors.Is(err, io.EOF) {
			return lines.Files(), nil
		} else if err != nil {
			return nil, err
		}
		r := row{address: entry.Address, line: entry.Line, end: entry.EndSequence}
		if entry.File != nil {
			r.file = entry.File.Name
		}
		p.rows = append(p.rows, r)
	}
}

// Place is where an instruction comes from.
type Place struct {
	File  string
	Line  int
	Start bool // the compiler knows no more than that it is in the function which is declared in this line
}

// At are the places of the instruction at an offset of the module, as V8 counts in a trap: its own, then where each function that the
// compiler has put into another one is called. There are none where nothing is known.
func (p *Places) At(offset uint64) (places []Place) {
	if offset < p.code {
		return nil
	}
	address := offset - p.code
	i := sort.Search(len(p.rows), func(i int) bool { return p.rows[i].address > address }) - 1
	if i < 0 || p.rows[i].end {
		return nil
	}
	add := func(at start) {
		if at.line != 0 { // 0 is code of several lines, or of none
			places = append(places, Place{at.file, at.line, p.starts[at]})
		}
	}
	add(start{p.rows[i].file, p.rows[i].line})
	for _, in := range slices.Backward(p.inlined) {
		if in.low <= address && address < in.high {
			add(in.called)
		}
	}
	return places
}
