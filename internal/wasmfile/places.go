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
	code uint64 // where the code section begins: DWARF counts from there
	rows []row  // sorted by address
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
	p := &Places{}
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
	for units := data.Reader(); ; units.SkipChildren() {
		unit, err := units.Next()
		if err != nil {
			return nil, fmt.Errorf("reading debug information: %w", err)
		}
		if unit == nil {
			break
		}
		if err := p.unit(data, unit); err != nil {
			return nil, fmt.Errorf("reading lines: %w", err)
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

func (p *Places) unit(data *dwarf.Data, unit *dwarf.Entry) error {
	lines, err := data.LineReader(unit)
	if err != nil || lines == nil {
		return err
	}
	var entry dwarf.LineEntry
	for {
		if err := lines.Next(&entry); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r := row{address: entry.Address, line: entry.Line, end: entry.EndSequence}
		if entry.File != nil {
			r.file = entry.File.Name
		}
		p.rows = append(p.rows, r)
	}
}

// At is the file and line of the instruction at an offset of the module, as V8 counts in a trap; false where none is known.
func (p *Places) At(offset uint64) (file string, line int, ok bool) {
	if offset < p.code {
		return "", 0, false
	}
	address := offset - p.code
	i := sort.Search(len(p.rows), func(i int) bool { return p.rows[i].address > address }) - 1
	if i < 0 || p.rows[i].end || p.rows[i].line == 0 {
		return "", 0, false
	}
	return p.rows[i].file, p.rows[i].line, true
}
