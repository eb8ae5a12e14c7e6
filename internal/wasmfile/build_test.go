package wasmfile

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	module := []byte("code wasmfleet build:?????? more")
	sealed, ok := Seal(module)
	require.True(t, ok)
	require.Len(t, sealed, len(module))
	build, ok := Build(sealed)
	require.True(t, ok)
	require.Less(t, build, uint64(1)<<48)

	other, _ := Seal([]byte("mode wasmfleet build:?????? more"))
	otherBuild, _ := Build(other)
	require.NotEqual(t, build, otherBuild)

	again, ok := Seal(sealed)
	require.False(t, ok, "a sealed module has no place any more")
	require.Equal(t, sealed, again)
	for name, not := range map[string][]byte{
		"no place": []byte("code"), "two places": append(module, module...), "not sealed": module,
		"changed": append(append([]byte{}, sealed...), '!'), "truncated": sealed[:len("code wasmfleet build:??")],
	} {
		_, ok := Build(not)
		require.False(t, ok, name)
	}
}
