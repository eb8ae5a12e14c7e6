package envoy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

var tinygoFlags = regexp.MustCompile(`(?m)^TINYGOFLAGS := (.*)$`)

// probe is testdata/probe as the Makefile compiles a filter, without the flags that are named.
func probe(t *testing.T, failStrategy string, without ...string) sandbox.Filter {
	t.Helper()
	f := sandbox.Filter{Plugin: envoytest.Plugin(t, "probe", "{}"), Module: compile(t, "probe", without...)}
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

// compiled are the modules so far, by filter and flags: TinyGo takes a second or two for each.
var compiled sync.Map

// compile compiles a filter of testdata as the Makefile does, without the flags that are named.
func compile(t *testing.T, filter string, without ...string) []byte {
	t.Helper()
	once, _ := compiled.LoadOrStore(fmt.Sprint(filter, without), sync.OnceValues(func() ([]byte, error) {
		return tinygo(t.TempDir(), filter, without)
	}))
	module, err := once.(func() ([]byte, error))()
	require.NoError(t, err)
	return module
}

func tinygo(dir, filter string, without []string) ([]byte, error) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return nil, err
	}
	match := tinygoFlags.FindSubmatch(makefile)
	if match == nil {
		return nil, errors.New("the Makefile has no TINYGOFLAGS")
	}
	flags := strings.Fields(string(match[1]))
	for _, flag := range without {
		i := slices.Index(flags, flag)
		if i < 0 {
			return nil, fmt.Errorf("TINYGOFLAGS has no %s", flag)
		}
		flags = slices.Delete(flags, i, i+1)
	}
	file := filepath.Join(dir, filter+".wasm")
	args := slices.Concat([]string{"build"}, flags, []string{"-o", file, "./testdata/" + filter})
	if out, err := exec.Command(filepath.Join(root, ".tools/bin/tinygo"), args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("tinygo: %w: %s", err, out)
	}
	return os.ReadFile(file)
}
