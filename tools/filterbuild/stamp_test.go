//go:build envoy

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
)

const filters = `
-- filters/f/plugin.yaml --
name: f
title: t
description: d
phases: [STATS]
-- filters/f/main.go --
package main

import (
	_ "embed"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"example.org/filter/filters/f/sub"
	"example.org/filter/filters/internal/used"
	"example.org/kit"
)

//go:embed words.txt
var words string

func main() {}

func init() {
	proxywasm.SetVMContext(&types.DefaultVMContext{})
	proxywasm.LogInfo(words + sub.Name + used.Name + kit.Name)
}
-- filters/f/extra.go --
package main

func init() { words += "!" }
-- filters/f/main_test.go --
package main
-- filters/f/host.go --
//go:build !tinygo

package main
-- filters/f/words.txt --
words
-- filters/f/sub/sub.go --
package sub

const Name = "one"
-- filters/internal/used/used.go --
package used

const Name = "used"
-- filters/internal/unused/unused.go --
package unused
-- filters/g/plugin.yaml --
name: g
title: t
description: d
phases: [STATS]
-- filters/g/main.go --
package main

func main() {}
-- kit/go.mod --
module example.org/kit

go 1.26
-- kit/kit.go --
package kit

const Name = "kit"
`

// Whatever a module is made of changes its stamp; what it is not made of does not.
func TestStamp(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string, b *builder)
		same   bool
	}{
		"nothing":                     {func(*testing.T, string, *builder) {}, true},
		"a file":                      {add("filters/f/main.go", "// more\n"), false},
		"a file of a subpackage":      {add("filters/f/sub/sub.go", "// more\n"), false},
		"a file of a shared package":  {add("filters/internal/used/used.go", "// more\n"), false},
		"a file of a replaced module": {add("kit/kit.go", "// more\n"), false},
		"a new file":                  {add("filters/f/new.go", "package main\n"), false},
		"a deleted file":              {remove("filters/f/extra.go"), false},
		"an embedded file":            {add("filters/f/words.txt", "more"), false},
		"plugin.yaml":                 {add("filters/f/plugin.yaml", "size: 90kB\n"), false},
		"a flag": {func(_ *testing.T, _ string, b *builder) {
			b.compiler.flags = append(b.compiler.flags[:len(b.compiler.flags):len(b.compiler.flags)], "-opt=1")
		}, false},
		"a test":                       {add("filters/f/main_test.go", "// more\n"), true},
		"a file for the host":          {add("filters/f/host.go", "// more\n"), true},
		"a package that nobody uses":   {add("filters/internal/unused/unused.go", "// more\n"), true},
		"a new package":                {add("filters/internal/new/new.go", "package new\n"), true},
		"another filter":               {add("filters/g/main.go", "// more\n"), true},
		"module.yaml":                  {add("filters/f/module.yaml", "abi: 0.2.0\n"), true},
		"the time of a file":           {touch("filters/f/main.go"), true},
		"a file beside the source":     {add("filters/f/README.md", "more"), true},
		"a dependency of another kind": {add("go.mod", "// a comment\n"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := unpack(t, txtar.Parse([]byte(filters)))
			b := &builder{root: dir, compiler: absolute(t, tinygo)}
			before := stampOf(t, b, "f")
			c.change(t, dir, b)
			if after := stampOf(t, b, "f"); c.same {
				require.Equal(t, before, after)
			} else {
				require.NotEqual(t, before, after)
			}
		})
	}
}

func stampOf(t *testing.T, b *builder, name string) string {
	t.Helper()
	sources, err := b.sources([]string{name})
	require.NoError(t, err)
	return sources[0].stamp
}

func add(file, text string) func(*testing.T, string, *builder) {
	return func(t *testing.T, dir string, _ *builder) {
		file := filepath.Join(dir, file)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}

func remove(file string) func(*testing.T, string, *builder) {
	return func(t *testing.T, dir string, _ *builder) { require.NoError(t, os.Remove(filepath.Join(dir, file))) }
}

func touch(file string) func(*testing.T, string, *builder) {
	return func(t *testing.T, dir string, _ *builder) {
		data, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), data, 0o644))
	}
}
