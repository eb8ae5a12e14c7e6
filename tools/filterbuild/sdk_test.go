package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// sdkDir is where the SDK's sources are.
func sdkDir(t *testing.T) string {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", sdkModule)
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// inSDK runs one test of testdata/sdk in a copy of the SDK with these files, and gives what it prints and the folder.
func inSDK(t *testing.T, files map[string][]byte, file, test string, env ...string) (out string, dir string) {
	t.Helper()
	dir = t.TempDir()
	content, err := os.ReadFile("testdata/sdk/" + file + ".txt")
	require.NoError(t, err)
	for path, content := range files {
		if path == "proxywasm/internal/vmstate_test_export.go" {
			continue // it makes the maps, for proxytest
		}
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "proxywasm/internal", file), content, 0o644))
	// Without requirements: what is tested here imports the standard library alone.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+sdkModule+"\n\ngo 1.19\n"), 0o644))
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-v", "-run=^"+test+"$", "-coverprofile=cover", "./proxywasm/internal")
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off"), env...)
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	return string(said), dir
}

// transcript is what the callbacks of an SDK do over a random life of contexts.
func transcript(t *testing.T, files map[string][]byte, steps string) (text []byte, dir string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "transcript")
	_, dir = inSDK(t, files, "oracle_test.go", "TestOracle", "TRANSCRIPT="+file, "STEPS="+steps)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text, dir
}

// A plugin that has accepted its configuration says which, and which build it is, under the name that filters/internal/metric gives
// its object.
func TestProof(t *testing.T) {
	files, err := sdkFiles(sdkDir(t))
	require.NoError(t, err)
	const configuration = `{"header":"x"}`
	const unknown = 0x3f3f3f3f3f3f // six question marks
	for _, c := range []struct{ plugin, configuration, refuse, object string }{
		{plugin: "web.mine", configuration: configuration, object: "web/mine"},
		{plugin: "web.mine.two", object: "web/mine_two"},
		{plugin: "extensions.istio.io/trafficextension/web.mine~istio-translated-wasmplugin", configuration: "{}", object: "web/mine"},
		{object: "unnamed"},
		{plugin: "a/", object: "unnamed"},
		{plugin: "web.mine", configuration: configuration, refuse: "yes"},
	} {
		out, _ := inSDK(t, files, "proof_test.go", "TestProof", "PLUGIN="+c.plugin, "CONFIGURATION="+c.configuration, "REFUSE="+c.refuse)
		var got []string
		for line := range strings.Lines(out) {
			if gauge, ok := strings.CutPrefix(strings.TrimSpace(line), "gauge "); ok {
				got = append(got, gauge)
			}
		}
		var want []string
		if c.refuse == "" {
			prefix := "wasm_filter." + c.object + ".wasmfleet."
			said := []string{fmt.Sprint(prefix, "config ", plugin.Fingerprint([]byte(c.configuration))), fmt.Sprint(prefix, "build ", unknown)}
			twice := slices.Concat(said, []string{prefix + "running "}, said)
			for _, running := range []string{"1", "0"} { // before and after it is deleted
				twice[2] = prefix + "running " + running
				want = append(want, twice...)
			}
		}
		require.Equal(t, want, got, "%+v", c)
	}
}

// The SDK's own maps are the oracle of our table: every callback, contexts of every kind, ids that are taken or unknown, callouts whose
// stream is gone, in random orders. What the filter is told, what the host is told, and each panic are the same.
func TestTableIsLikeTheSDKsMaps(t *testing.T) {
	dir := sdkDir(t)
	ours, err := tableFiles(dir)
	require.NoError(t, err)
	theirs := map[string][]byte{}
	for path := range ours {
		theirs[path], err = os.ReadFile(filepath.Join(dir, path))
		require.NoError(t, err)
	}
	require.Equal(t, sdkVMStateSum, sum(theirs[sdkVMState]), "our vmstate.go was compared with another version")
	const steps = "200000"
	want, _ := transcript(t, theirs, steps)
	got, copied := transcript(t, ours, steps)
	require.Greater(t, bytes.Count(want, []byte("\n")), 200_000)
	for _, seen := range []string{"new http", "new tcp", "panic: context id duplicated", "panic: invalid plugin context id", "panic: invalid callout id", "effective", "answer", "tick", "queue", "done"} {
		require.Contains(t, string(want), seen, "the oracle does not meet it")
	}
	equal(t, want, got)

	cover, err := os.ReadFile(filepath.Join(copied, "cover"))
	require.NoError(t, err)
	for line := range strings.Lines(string(cover)) {
		if strings.Contains(line, "/vmstate.go:") {
			require.False(t, strings.HasSuffix(line, " 0\n"), "no step of the oracle runs %s", line)
		}
	}

	// The comparison can fail: a row that is freed without moving up those behind it.
	broken := bytes.Replace(ours[sdkVMState], []byte("hole = i\n"), []byte("\n"), 1)
	require.NotEqual(t, ours[sdkVMState], broken)
	ours[sdkVMState] = broken
	got, _ = transcript(t, ours, steps)
	require.NotEqual(t, want, got)
}

// equal says the first line that differs.
func equal(t *testing.T, want, got []byte) {
	t.Helper()
	w, g := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range min(len(w), len(g)) {
		if !bytes.Equal(w[i], g[i]) {
			require.Equal(t, string(w[i]), string(g[i]), "line %d", i+1)
		}
	}
	require.Equal(t, len(w), len(g))
}
