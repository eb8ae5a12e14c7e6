package wasmfile

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlacesOfAModuleWithoutAny(t *testing.T) {
	for name, module := range map[string][]byte{"nothing": nil, "no sections": []byte("\x00asm\x01\x00\x00\x00"), "cut": []byte("\x00asm\x01\x00\x00\x00\x00\x7f")} {
		_, err := ReadPlaces(module)
		require.Error(t, err, name)
	}
}

// Nothing that a file holds makes the reader panic.
func FuzzPlaces(f *testing.F) {
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x00\x0d\x0b.debug_line\x00\x0a\x01\x00"), uint64(3))
	if hello, err := os.ReadFile("../../test/sandbox/testdata/hello.wasm"); err == nil {
		f.Add(hello, uint64(100))
	}
	f.Fuzz(func(_ *testing.T, module []byte, offset uint64) {
		if p, err := ReadPlaces(module); err == nil {
			p.At(offset)
		}
	})
}
