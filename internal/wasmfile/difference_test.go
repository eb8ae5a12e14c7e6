package wasmfile_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// section is one of fewer than 128 bytes.
func section(id byte, content ...byte) []byte {
	return append([]byte{id, byte(len(content))}, content...)
}

func handmade(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), slices.Concat(sections...)...)
}

func TestFirstDifference(t *testing.T) {
	var (
		types     = section(1, 1, 0x60, 0, 0)
		imports   = section(2, 1, 1, 'e', 1, 'f', 0, 0) // function 0
		functions = section(3, 2, 0, 0)                 // functions 1 and 2
		memory    = section(5, 1, 0, 1)
		exports   = section(7, 1, 3, 'r', 'u', 'n', 0, 2)
		code      = section(10, 2, 2, 0, 0x0b, 3, 0, 1, 0x0b)
		data      = section(11, 2, 0, 0x41, 0, 0x0b, 2, 'h', 'i', 1, 1, 'x')
		names     = section(0, 4, 'n', 'a', 'm', 'e', 1, 6, 1, 1, 3, 'o', 'n', 'e')
	)
	whole := handmade(types, imports, functions, memory, exports, code, data, names)
	for name, c := range map[string]struct {
		other []byte
		a, b  string
		same  int
	}{
		"other code":      {handmade(types, imports, functions, memory, exports, section(10, 2, 2, 0, 0x0b, 3, 0, 2, 0x0b), data, names), "code function 2 (run)", "code function 2 (run)", 1},
		"longer code":     {handmade(types, imports, functions, memory, exports, section(10, 2, 3, 0, 1, 0x0b, 3, 0, 1, 0x0b), data, names), "code function 1 (one)", "code function 1 (one)", 1},
		"function gone":   {handmade(types, imports, functions, memory, exports, section(10, 1, 2, 0, 0x0b), data, names), "code function 2 (run)", "data", 0},
		"other data":      {handmade(types, imports, functions, memory, exports, code, section(11, 2, 0, 0x41, 0, 0x0b, 2, 'h', 'i', 1, 1, 'y'), names), "data segment 1", "data segment 1", 2},
		"data elsewhere":  {handmade(types, imports, functions, memory, exports, code, section(11, 2, 0, 0x41, 1, 0x0b, 2, 'h', 'i', 1, 1, 'x'), names), "data segment 0", "data segment 0", 2},
		"other type":      {handmade(section(1, 1, 0x60, 1, 0x7f, 0), imports, functions, memory, exports, code, data, names), "type", "type", 2},
		"other order":     {handmade(types, imports, functions, memory, exports, data, code, names), "code", "data", 0},
		"other custom":    {handmade(types, imports, functions, memory, exports, code, data, section(0, 4, 'n', 'a', 'm', 'f')), `custom "name"`, `custom "namf"`, 0},
		"truncated":       {whole[:len(handmade(types, imports, functions, memory, exports))+7], "code function 2 (run)", "code function 2 (run)", 0},
		"ends early":      {handmade(types, imports, functions, memory, exports, code, data), `custom "name"`, "end", 0},
		"longer":          {append(slices.Clone(whole), section(0, 1, 'x')...), "end", `custom "x"`, 0},
		"empty section":   {handmade(types, imports, functions, memory, exports, code, data, names, section(11)), "end", "data", 0},
		"other header":    {append([]byte("\x00asm\x02"), whole[5:]...), "header", "header", 4},
		"nothing":         {[]byte{}, "header", "header", 0},
		"length in bytes": {slices.Concat(whole[:8], []byte{1, 0x84, 0}, whole[10:]), "a length or a count", "a length or a count", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d, differ := wasmfile.FirstDifference(whole, c.other)
			require.True(t, differ)
			require.Equal(t, c.a, d.A.Name)
			require.Equal(t, c.b, d.B.Name)
			require.Equal(t, c.same, d.Same)
			// The parts are where they are said to be: the same bytes, then another.
			at, bt := whole[d.A.Offset:d.A.Offset+d.A.Size], c.other[d.B.Offset:d.B.Offset+d.B.Size]
			require.Equal(t, at[:d.Same], bt[:d.Same])
			if d.Same < len(at) && d.Same < len(bt) && c.a == c.b {
				require.NotEqual(t, at[d.Same], bt[d.Same])
			}
			back, _ := wasmfile.FirstDifference(c.other, whole)
			require.Equal(t, d.A, back.B)
			require.Equal(t, d.B, back.A)
		})
	}
	_, differ := wasmfile.FirstDifference(whole, slices.Clone(whole))
	require.False(t, differ)
	d, _ := wasmfile.FirstDifference(whole, handmade(types, imports, functions, memory, exports, section(10, 2, 2, 0, 0x0b, 4, 0, 1, 1, 0x0b), data, names))
	require.Equal(t, []int{3, 4}, []int{d.A.Size, d.B.Size})
	require.Equal(t, []byte{0, 1, 0x0b}, whole[d.A.Offset:d.A.Offset+d.A.Size])
}

// Any bytes are compared, and differ when they are not the same.
func FuzzFirstDifference(f *testing.F) {
	files, err := filepath.Glob("testdata/lint/*.wasm")
	require.NoError(f, err)
	for _, file := range files {
		module, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(module, module[:len(module)/2])
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, differ := wasmfile.FirstDifference(a, b)
		require.Equal(t, string(a) != string(b), differ)
	})
}
