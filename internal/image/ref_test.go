package image_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/image"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseRef(t *testing.T) {
	for in, want := range map[string]image.Ref{
		"ghcr.io/o/hello:v1@" + digest:       {Repo: "ghcr.io/o/hello", Tag: "v1", Digest: digest},
		"ghcr.io/o/hello@" + digest:          {Repo: "ghcr.io/o/hello", Digest: digest},
		"localhost:5000/x/hello@" + digest:   {Repo: "localhost:5000/x/hello", Digest: digest},
		"127.0.0.1:5000/x/hello:2@" + digest: {Repo: "127.0.0.1:5000/x/hello", Tag: "2", Digest: digest},
	} {
		got, err := image.ParseRef(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
		require.Equal(t, in, got.String())
		require.Equal(t, "hello", got.Filter())
	}
}

func TestParseRefRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "has no digest",
		"ghcr.io/o/hello:v1":                 "has no digest",
		"ghcr.io/o/hello:v1@sha256:abc":      "sha256:abc",
		"ghcr.io/o/AddHeader:v1@" + digest:   "AddHeader",
		"ghcr.io/o/hello:v 1@" + digest:      "v 1",
		"ghcr.io/o/hello:v1:v2@" + digest:    "hello:v1",
		"ghcr.io/o/hello@" + digest + "@x":   "@x",
		"oci://ghcr.io/o/hello:v1@" + digest: "oci:",
	} {
		_, err := image.ParseRef(in)
		require.ErrorContains(t, err, want, in)
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("ghcr.io/o/hello:v1@" + digest)
	f.Add("localhost:5000/x@" + digest)
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := image.ParseRef(s); err == nil {
			require.Equal(t, s, r.String(), "what is read is written back")
		}
	})
}
