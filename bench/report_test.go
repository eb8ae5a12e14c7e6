package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func fixture() report {
	e := func(v float64) estimate { return estimate{v, v * 0.9, v * 1.1} }
	return report{
		Rounds: 15, Starts: 7, Seconds: 2, Copies: copies, Base: e(16), AA: e(1), RustPruned: estimate{1.2, 1.1, 1.3},
		Rows: []row{{Peer: lua, Size: thousands(0), Cost: e(2.7), Ratio: e(0.5)}, {Peer: ours, Ours: true, Size: thousands(53394), Cost: e(1.4)}},
		Goals: []goal{
			{"CPU time per request", lua, goalLua, estimate{0.5, 0.4, 0.6}},
			{"CPU time per request", rustPruned, goalRustPruned, estimate{1.01, 0.9, 1.1}},
		},
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, fixture().table(&b))
	require.Regexp(t, `addheader, as built here +53,394 +1.40 +1.26-1.54`, b.String())
	require.Regexp(t, `Lua +0.5 +0.5 +0.4-0.6 +pass`, b.String(), "a goal is met at its limit")
	require.Regexp(t, `Rust proxy-wasm, pruned +1 +1.01 +0.9-1.1 +miss`, b.String())
	require.Equal(t, []string{"CPU time per request, of Rust proxy-wasm, pruned: 1.01, at most 1"}, fixture().missed())
}

func TestMarkdown(t *testing.T) {
	tests := []struct {
		rust estimate
		want string
	}{
		{estimate{1.2, 1.1, 1.3}, "Rust pruned the same way is still ahead: addheader costs 1.20 times as much (1.10–1.30)."},
		{estimate{1.02, 0.98, 1.1}, "this run shows no difference: 1.02 (0.98–1.10)."},
		{estimate{0.8, 0.7, 0.9}, "Rust pruned the same way is behind: addheader costs 0.80 times as much (0.70–0.90)."},
	}
	for _, tt := range tests {
		r := fixture()
		r.RustPruned = tt.rust
		var b bytes.Buffer
		require.NoError(t, r.markdown(&b))
		require.Contains(t, b.String(), tt.want)
		require.Contains(t, b.String(), "| **addheader, as built here** | 53,394 | 1.40 | 1.26–1.54 | 1 | |\n")
		require.Contains(t, b.String(), "| 1 | 1.01 | 0.9–1.1 | **miss** |\n")
	}
}

func TestPlot(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, fixture().plot(&b))
	svg := b.String()
	require.Contains(t, svg, "addheader, as built here")
	d := xml.NewDecoder(&b)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "-", 999: "999", 1000: "1,000", 2644672: "2,644,672"} {
		require.Equal(t, want, thousands(n))
	}
}
