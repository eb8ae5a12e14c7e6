package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/filters/jwtfetch/internal/simulator"
)

// Each token service of testdata/endpoints gets the request that it wants, and its answer is understood.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	endpoints, err := simulator.Endpoints("testdata", time.UnixMilli(int64(asked)))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(endpoints), 24)
	for _, e := range endpoints {
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			c, err := parseConfig(e.Config)
			require.NoError(t, err)

			sent, body, failed := c.outgoing(func(name string) string { return simulator.Environment[name] })
			require.Nil(t, failed)
			header := func(name string) string { return "" }
			for _, h := range sent {
				next := header
				header = func(name string) string {
					if name == h[0] {
						return h[1]
					}
					return next(name)
				}
			}
			require.NoError(t, e.Check(c.request.method+" "+c.request.path, header, string(body)))

			status, answerHeaders, text := e.Answer()
			got, failed := c.readAnswer(answer{append([][2]string{{":status", status}}, answerHeaders...), []byte(text), len(text)}, asked, answered)
			require.Nil(t, failed)
			require.Equal(t, e.Token, got.value)
			require.Equal(t, e.Lifetime, got.expiry.sub(got.since))
		})
	}
}
