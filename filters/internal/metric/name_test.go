package metric

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestObjectName(t *testing.T) {
	t.Parallel()
	for plugin, want := range map[string]string{
		"web.mine":     "web/mine",
		"web.mine.two": "web/mine.two",
		"extensions.istio.io/wasmplugin/web.mine":                                   "web/mine",
		"extensions.istio.io/trafficextension/web.mine~istio-translated-wasmplugin": "web/mine",
		"mine": "mine",
		"":     "unnamed",
		"a/":   "unnamed",
	} {
		require.Equal(t, want, objectName(plugin), plugin)
	}
}

// What Istio's bootstrap takes for the label is the whole object.
func TestPrefix(t *testing.T) {
	t.Parallel()
	label := regexp.MustCompile(`(wasm_filter\.(.+?)\.)`)
	for object, want := range map[string]string{"web/mine": "web/mine", "web/mine.two": "web/mine_two", "unnamed": "unnamed"} {
		name := Prefix(object, "demo") + "things.total"
		match := label.FindStringSubmatch(name)
		require.Equal(t, want, match[2], name)
		require.Equal(t, "demo.things.total", name[len(match[1]):])
	}
}
