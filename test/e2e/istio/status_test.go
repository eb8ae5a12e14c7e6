package istio

import (
	"context"
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/syncstatus"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
)

// status is what syncstatus says of a proxy.
func (f *full) status(p *cluster.Proxy) syncstatus.Status {
	f.Helper()
	signals := f.signals(p)
	s, err := syncstatus.Read(signals)
	require.NoError(f, err)
	return s
}

func (f *full) signals(p *cluster.Proxy) syncstatus.Signals {
	f.Helper()
	signals, err := syncstatus.Collect(f.Context(), client, syncstatus.Addresses{Envoy: p.Admin, Agent: p.Agent, Istiod: f.istiod.URL, Proxy: p.ID})
	require.NoError(f, err)
	return signals
}

// becomes waits until syncstatus says so of addheader on the sidecar; an empty digest is any.
func (f *full) becomes(state syncstatus.State, digest string) syncstatus.Status {
	f.Helper()
	var s syncstatus.Status
	process.Until(f, changed, string(state), func(context.Context) error {
		s = f.status(f.sidecar).Since(f.before)
		got, ok := s.Filter(ns + ".addheader")
		if !ok || got.State != state || digest != "" && got.Digest != digest {
			return fmt.Errorf("got %+v", s.Filters)
		}
		return nil
	})
	got, _ := s.Filter(ns + ".addheader")
	f.Logf("status: %s %s", got.State, got.Reason)
	f.before = s
	return s
}
