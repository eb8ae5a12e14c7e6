package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// guestCost matches what callgrind says of code that wazero made: it has no name.
var guestCost = regexp.MustCompile(`(?m)^\s*([0-9,]+) \(.*\?\?\?:0x`)

// instructions are those of the module per stream, without its start and without the host's. Exactly: until two counts are the same.
func instructions(t *testing.T, program, module string, exactly bool) int {
	t.Helper()
	one := func(streams int) (sum int) {
		file := filepath.Join(t.TempDir(), "callgrind")
		cmd := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file="+file, "--smc-check=all-non-file",
			program, module, `{"name":"hello","value":"world"}`, strconv.Itoa(streams))
		// What the runtime does by a clock, or in another thread, would be counted too.
		cmd.Env = append(os.Environ(), "GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		out, err = exec.Command("callgrind_annotate", "--threshold=100", file).Output()
		require.NoError(t, err)
		for _, m := range guestCost.FindAllStringSubmatch(string(out), -1) {
			n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
			require.NoError(t, err)
			sum += n
		}
		return sum
	}
	// Now and then callgrind takes a function of the host for nameless, too.
	count := func(streams int) int {
		least := one(streams)
		if !exactly {
			return least
		}
		for range 5 {
			next := one(streams)
			if next == least {
				return least
			}
			least = min(least, next)
		}
		t.Fatalf("no two counts of %s are the same", module)
		return 0
	}
	const few, many = 1000, 3000
	return (count(many) - count(few)) / (many - few)
}

// A stream through addheader costs 2.4 times the instructions of one through the same filter in Rust, nearly all of which is not in the
// code that both have. A tenth more is a loss that a clock would not show. Where the SDK's maps are, it is over ten times as much.
func TestInstructions(t *testing.T) {
	program := filepath.Join(t.TempDir(), "instructions")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	const most = 2.6
	rust := float64(instructions(t, program, "../build/rustpruned.wasm", true))
	ours := float64(instructions(t, program, "../../build/addheader.wasm", true))
	maps := float64(instructions(t, program, "../build/sdkexample.wasm", false))
	t.Logf("instructions per stream: Rust pruned %.0f, addheader %.0f, with the SDK's maps %.0f", rust, ours, maps)
	require.LessOrEqual(t, ours/rust, most, "addheader ÷ Rust pruned")
	require.Greater(t, maps/rust, 5*most, "the count does not see the SDK's maps")
}
