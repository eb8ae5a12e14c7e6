package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"google.golang.org/protobuf/proto"
)

// What Envoy has itself needs no module, so these tests need no peer to be built.
func native(t *testing.T) (options, []peer) {
	envoy, err := envoy.FindEnvoy()
	require.NoError(t, err)
	return options{rounds: 2, starts: 1, seconds: 200 * time.Millisecond, envoy: envoy},
		[]peer{{Name: nothing}, {Name: nothingAgain}, {Name: lua, native: newLua}}
}

func TestMeasureCost(t *testing.T) {
	o, peers := native(t)
	rounds, err := measureCost(t.Context(), o, peers, io.Discard)
	require.NoError(t, err)
	require.Len(t, rounds, o.rounds)
	for _, r := range rounds {
		require.Positive(t, r.base())
		require.Greater(t, r[lua], r.base(), "twenty Lua filters cost something")
	}
}

func TestMeasureStarts(t *testing.T) {
	o, peers := native(t)
	starts, err := measureStarts(t.Context(), o, peers, io.Discard)
	require.NoError(t, err)
	require.Len(t, starts, o.starts)
	require.Positive(t, starts[0][lua].first200)
	require.Positive(t, starts[0][lua].cpu)
	require.Positive(t, starts[0][nothing].rss)
}

// A peer that does less is no peer.
func TestMeasureRefusesLessWork(t *testing.T) {
	o, peers := native(t)
	peers[2].native = func(string) proto.Message { return newLua("x-other") }
	_, err := measureCost(t.Context(), o, peers, io.Discard)
	require.ErrorContains(t, err, `asking "Lua": want x-bench-a: world once, got []. the peer does not do the same work`)
}

func TestStartRefused(t *testing.T) {
	o, _ := native(t)
	_, err := startOnce(t.Context(), o.envoy, 1, peer{Name: "none", Module: "no/such.wasm"})
	require.ErrorContains(t, err, `waiting for "none": Envoy ended`)
	require.ErrorContains(t, err, "no/such.wasm")

	_, err = (peer{Name: "none", Module: "no/such.wasm"}).size()
	require.ErrorContains(t, err, `run "make build" and bench/build.sh`)
}
