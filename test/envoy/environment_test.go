//go:build envoy

package envoy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	extensions "istio.io/api/extensions/v1alpha1"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// A filter reads the variables of its VM, which the C library copies into the same memory that Go allocates in.
func TestEnvironment(t *testing.T) {
	module, _ := fixture(t, "environment")
	f := sandbox.Filter{Plugin: envoytest.Plugin(t, "environment", "{}"), Module: module}
	f.Plugin.Spec.VmConfig = &extensions.VmConfig{}
	var want strings.Builder
	for i := range 20 {
		value := fmt.Sprintf("%d-%s", i+1, strings.Repeat("x", 10*i))
		f.Plugin.Spec.VmConfig.Env = append(f.Plugin.Spec.VmConfig.Env, &extensions.EnvVar{Name: fmt.Sprintf("V%d", i+1), Value: value})
		want.WriteString(value + ";")
	}
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(f)})
	for range 10 {
		require.Equal(t, want.String(), p.Get("/").Header.Get("x-values"))
	}
	p.NeverTrapped()
}
