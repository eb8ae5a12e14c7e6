package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sdkDir is where the SDK's sources are.
func sdkDir(t *testing.T) string {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", sdkModule)
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// transcript is what the callbacks of an SDK do over a random life of contexts.
func transcript(t *testing.T, files map[string][]byte, steps string) (text []byte, dir string) {
	t.Helper()
	dir = t.TempDir()
	oracle, err := os.ReadFile("testdata/sdk/oracle_test.go.txt")
	require.NoError(t, err)
	for path, content := range files {
		if path == "proxywasm/internal/vmstate_test_export.go" {
			continue // it makes the maps, for proxytest
		}
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "proxywasm/internal/oracle_test.go"), oracle, 0o644))
	// Without requirements: what is tested here imports the standard library alone.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+sdkModule+"\n\ngo 1.19\n"), 0o644))
	cmd := exec.Command("go", "test", "-count=1", "-vet=off", "-run=^TestOracle$", "-coverprofile=cover", "./proxywasm/internal")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "TRANSCRIPT="+filepath.Join(dir, "transcript"), "STEPS="+steps)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	text, err = os.ReadFile(filepath.Join(dir, "transcript"))
	require.NoError(t, err)
	return text, dir
}

// The SDK's own maps are the oracle of our table: every callback, contexts of every kind, ids that are taken or unknown, callouts whose
// stream is gone, in random orders. What the filter is told, what the host is told, and each panic are the same.
func TestTableIsLikeTheSDKsMaps(t *testing.T) {
	dir := sdkDir(t)
	ours, err := sdkFiles(dir)
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
