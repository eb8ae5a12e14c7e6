//go:build envoy

package envoy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// probe is testdata/probe as make build builds a filter.
func probe(t *testing.T, failStrategy string) sandbox.Filter {
	t.Helper()
	module, _ := fixture(t, "probe")
	f := sandbox.Filter{Plugin: envoytest.Plugin(t, "probe", "{}"), Module: module}
	f.Plugin.Spec.FailStrategy = failStrategies[failStrategy]
	return f
}

// saying is the probe with another value of its header.
func saying(t *testing.T, probe sandbox.Filter, value string) sandbox.Filter {
	t.Helper()
	probe.Plugin = envoytest.Plugin(t, "probe", fmt.Sprintf("{value: %q}", value))
	return probe
}

// refused is the probe with a configuration that it refuses.
func refused(t *testing.T, probe sandbox.Filter) sandbox.Filter {
	t.Helper()
	probe.Plugin = envoytest.Plugin(t, "probe", "{valu: world}")
	return probe
}

// built are the fixtures so far, by name: a build takes seconds.
var built sync.Map

type modules struct{ module, raw []byte }

// fixture is the filter in testdata/NAME as make build builds one, in a repository of its own; raw is what TinyGo made of it,
// with all that it exports.
func fixture(t *testing.T, name string) (module, raw []byte) {
	t.Helper()
	once, _ := built.LoadOrStore(name, sync.OnceValues(func() (modules, error) {
		dir, err := os.MkdirTemp("", "fixture-")
		if err != nil {
			return modules{}, err
		}
		defer os.RemoveAll(dir)
		return build(dir, name)
	}))
	m, err := once.(func() (modules, error))()
	require.NoError(t, err)
	return m.module, m.raw
}

func build(dir, name string) (m modules, err error) {
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return m, err
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			return m, err
		}
	}
	filter := filepath.Join(dir, "filters", name)
	if err := os.CopyFS(filter, os.DirFS(filepath.Join("testdata", name))); err != nil {
		return m, err
	}
	if _, err := os.Stat(filepath.Join(filter, "kit")); err == nil { // a module of somebody else's
		edit := exec.Command("go", "mod", "edit", "-require=example.org/kit@v0.0.0", "-replace=example.org/kit=./filters/"+name+"/kit")
		edit.Dir = dir
		if out, err := edit.CombinedOutput(); err != nil {
			return m, fmt.Errorf("%w: %s", err, out)
		}
	}
	metadata := filepath.Join(filter, "plugin.yaml")
	if _, err := os.Stat(metadata); os.IsNotExist(err) {
		text := "name: " + name + "\ntitle: A fixture\ndescription: Used by a test.\nphases: [UNSPECIFIED_PHASE]\n"
		if err := os.WriteFile(metadata, []byte(text), 0o644); err != nil {
			return m, err
		}
	}
	cmd := exec.Command(filepath.Join(root, "bin/filterbuild"), "-root", dir, "-tools", filepath.Join(root, ".tools"), "build", name)
	if out, err := cmd.CombinedOutput(); err != nil {
		return m, fmt.Errorf("%w: %s", err, out)
	}
	if m.module, err = os.ReadFile(filepath.Join(dir, "build", name+".wasm")); err != nil {
		return m, err
	}
	m.raw, err = os.ReadFile(filepath.Join(dir, "build", name+".raw"))
	return m, err
}
