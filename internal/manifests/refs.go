package manifests

import (
	"bufio"
	"os"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
)

// ReadRefs reads a file of references, as publish writes it: one a line; empty lines and comments are skipped. Those of a dry run are
// refused unless unpublished says that they are wanted.
func ReadRefs(file string, unpublished bool) (Pins, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pins := Pins{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == image.Unpublished && !unpublished {
			return nil, cli.Finding("%s:%d: these references are of publish --dry-run, so the images are in no registry. publish them, or take them with --unpublished", file, n)
		}
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		ref, err := image.ParseRef(text)
		if err != nil {
			return nil, cli.Finding("%s:%d: %w", file, n, err)
		}
		if old, twice := pins[ref.Filter()]; twice && old != ref {
			return nil, cli.Finding("%s:%d: a second reference of %s. keep one", file, n, ref.Filter())
		}
		pins[ref.Filter()] = ref
	}
	return pins, lines.Err()
}
