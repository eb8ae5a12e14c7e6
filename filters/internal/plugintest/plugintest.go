// Package plugintest is the one test harness of the filters: the same test body against the Go contexts and against the
// compiled module, and the fixtures of a filter's configuration.
//
// It runs in the test of a filter, so relative paths start at the filter's folder.
package plugintest

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Run runs f as the subtest "go", with the contexts of newVM, and, with the build tag envoy, as the subtest "wasm", with the module
// that `make build` left in build/.
//
// The emulator behind a VM context is one per process: neither f nor the test around it may be parallel.
func Run(t *testing.T, newVM func() types.VMContext, f func(t *testing.T, vm types.VMContext)) {
	t.Run("go", func(t *testing.T) { f(t, newVM()) })
	if compiled {
		t.Run("wasm", func(t *testing.T) { f(t, newModule(t)) })
	}
}

// Start starts a VM and, in it, the plugin with this configuration. The host goes away with the test. It is the SDK's emulator, and as
// strict as Envoy in this: a stream that OnHttpRequestHeaders or OnHttpResponseHeaders has paused gets no body before it is resumed, and
// calling it all the same fails the test. The property source.address is ip:port; host.SetProperty sets another.
func Start(t *testing.T, vm types.VMContext, config []byte) (proxytest.HostEmulator, types.OnPluginStartStatus) {
	t.Helper()
	// The emulator writes what it does to the standard logger. It is of interest when a test fails.
	log.SetOutput(testLog{t})
	host, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption().
		WithVMContext(vm).
		WithPluginConfiguration(config))
	t.Cleanup(func() {
		reset()
		log.SetOutput(os.Stderr)
	})
	require.Equal(t, types.OnVMStartStatusOK, host.StartVM())
	require.NoError(t, host.SetProperty([]string{"source", "address"}, []byte("192.0.2.1:40000")))
	return newStrict(host, t.Fatalf), host.StartPlugin()
}

// newModule loads the module of the filter whose test runs.
func newModule(t *testing.T) types.VMContext {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	name := filepath.Base(dir) + ".wasm"
	stale, err := exec.Command("../../bin/filterbuild", "-root", "../..", "-tools", "../../.tools", "stale", filepath.Base(dir)).CombinedOutput()
	if err != nil {
		t.Fatalf("build/%s is not known to be what these sources build: %v. run \"make build\"\n%s", name, err, stale)
	}
	module, err := os.ReadFile(filepath.Join("..", "..", "build", name))
	if err != nil {
		t.Fatalf("reading build/%s: %v. run \"make build\"", name, err)
	}
	module, exports := withStart(module)
	vm, err := proxytest.NewWasmVMContext(module)
	require.NoErrorf(t, err, "loading build/%s", name)
	t.Cleanup(func() { require.NoError(t, vm.Close()) })
	return &vmContext{vm, exports}
}

type testLog struct{ t *testing.T }

// Write implements io.Writer.
func (l testLog) Write(p []byte) (int, error) {
	if fatal() {
		return os.Stderr.Write(p) // nobody prints the test's log after that
	}
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// fatal reports whether log.Fatal writes: the process ends next.
func fatal() bool {
	calls := make([]uintptr, 16)
	frames := runtime.CallersFrames(calls[:runtime.Callers(0, calls)])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "log.Fatal") {
			return true
		}
		if !more {
			return false
		}
	}
}
