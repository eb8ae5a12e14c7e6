package plugin

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlaceholders(t *testing.T) {
	t.Setenv("IS_SET", "s3cret")
	plugins, err := Plugins(map[string][]byte{"x.yaml": []byte(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: x, namespace: web}
spec:
  url: filter://x
  vmConfig: {env: [{name: IS_SET, valueFrom: HOST}, {name: NOT_SET, valueFrom: HOST}, {name: INLINE, value: here}]}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: "y", namespace: web}
spec: {url: "filter://y"}
`)})
	require.NoError(t, err)
	require.Equal(t, []string{"NOT_SET=placeholder"}, Placeholders(plugins...))
}
