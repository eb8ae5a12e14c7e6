package proxystatus

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

var want = Want{Object: "web/mine", Digest: "sha256:abc", Configuration: 11, Build: 22}

// shown are metrics as a proxy shows them.
const shown = `envoy_server_live{} 1
istio_agent_startup_duration_seconds 1
`

// proves is what the filter of web/mine says.
func proves(configuration, build, running int) string {
	return fmt.Sprintf(shown+`wasmfleet_config{wasm_filter="web/mine"} %d
wasmfleet_build{wasm_filter="web/mine"} %d
wasmfleet_running{wasm_filter="web/mine"} %d
`, configuration, build, running)
}

const (
	failed  = "istio_agent_wasm_remote_fetch_count{result=\"manifest_failure\"} 2\nistio_agent_wasm_remote_fetch_count{result=\"success\"} 1\n"
	trapped = "envoy_wasm_extenstions_istio_io_wasmplugin_web_mine_vm_reload_success{} %d\n"
)

// received is what Envoy has got for web/mine.
func receivedDump(filter string) string {
	return `{"configs":[{"ecds_filter":{"name":"extensions.istio.io/wasmplugin/web.mine","typed_config":` + filter + `}}]}`
}

const (
	wasm = `{"@type":"type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm","config":{"configuration":{"value":"x"},` +
		`"vm_config":{"code":{"local":{"filename":"/var/lib/istio/data/f00/abc.wasm"}}}}}`
	deny  = `{"@type":"type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC","rules_stat_prefix":"wasm-default-deny"}`
	allow = `{"@type":"type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC","rules_stat_prefix":"wasm-default-allow"}`
	split = `{"@type":"type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher"}`
)

func TestJudge(t *testing.T) {
	t.Parallel()
	x := plugin.Fingerprint([]byte("x")) // the configuration of the dump
	for name, c := range map[string]struct {
		metrics, received string
		want              func(*Want)
		state             State
		reason            string
	}{
		"runs":                        {metrics: proves(11, 22, 3), state: Running},
		"another configuration":       {metrics: proves(12, 22, 3), state: Other, reason: "the pinned build with another configuration"},
		"another build":               {metrics: proves(11, 23, 3), state: Other, reason: "another build than the pinned one"},
		"both":                        {metrics: proves(12, 23, 3), state: Other, reason: "another build with another configuration"},
		"taken away":                  {metrics: proves(11, 22, 0), state: Waiting, reason: "taken away"},
		"never there":                 {metrics: shown, state: Waiting, reason: "no configuration of it was accepted"},
		"object with a similar name":  {metrics: strings.ReplaceAll(proves(11, 22, 3), "web/mine", "aweb/mine"), state: Waiting},
		"image missing":               {metrics: proves(11, 21, 0) + failed, state: Denying, reason: "manifest_failure 2"},
		"image missing, open":         {metrics: shown + failed, want: func(w *Want) { w.Open = true }, state: Passing},
		"image not in the registry":   {metrics: shown + failed, want: func(w *Want) { w.Silent, w.Missing = "404", true }, state: Denying, reason: "the registry does not have the image"},
		"a fetch failed once":         {metrics: proves(11, 22, 3) + failed, state: Running},
		"fetch failed, VM lost":       {metrics: proves(11, 22, 3) + failed + fmt.Sprintf(trapped, 1), state: Unknown, reason: "--admin"},
		"trapped long ago":            {metrics: proves(11, 22, 3) + fmt.Sprintf(trapped, 2), state: Running, reason: "2 times after a trap"},
		"nothing shown":               {metrics: "", state: Unknown, reason: ":15020"},
		"the agent's only":            {metrics: "istio_agent_startup_duration_seconds 1\n", state: Unknown},
		"a module that says nothing":  {metrics: shown, want: func(w *Want) { w.Silent = "built elsewhere" }, state: Unknown, reason: "built elsewhere"},
		"without Istio's label":       {metrics: shown + "wasm_filter_web_mine_wasmfleet_config 11\nwasm_filter_web_mine_wasmfleet_build 22\nwasm_filter_web_mine_wasmfleet_running 3\n", state: Running},
		"received and accepted":       {metrics: proves(int(x), 22, 3), received: receivedDump(wasm), want: func(w *Want) { w.Configuration = x }, state: Running},
		"received and refused":        {metrics: proves(11, 22, 3), received: receivedDump(wasm), want: func(w *Want) { w.Configuration = x }, state: Refused, reason: "runs what was before"},
		"received and refused, new":   {metrics: shown, received: receivedDump(wasm), want: func(w *Want) { w.Configuration = x }, state: Refused, reason: "500"},
		"received another":            {metrics: proves(11, 22, 3), received: receivedDump(wasm), state: Other, reason: "another configuration than the rendered one"},
		"received another image":      {metrics: proves(11, 22, 3), received: receivedDump(strings.Replace(wasm, "abc.wasm", "def.wasm", 1)), state: Other, reason: "image sha256:def"},
		"received a denial":           {metrics: proves(11, 22, 3) + failed, received: receivedDump(deny), state: Denying, reason: "manifest_failure 2"},
		"received a denial, no fetch": {metrics: shown, received: receivedDump(deny), state: Denying, reason: "no credentials"},
		"received a pass":             {metrics: shown + failed, received: receivedDump(allow), state: Passing},
		"received nothing":            {metrics: proves(11, 22, 3), received: "{}", state: Waiting, reason: "has not received it"},
		"a split":                     {metrics: proves(11, 22, 3), received: receivedDump(split), state: Unknown},
		"received, says nothing":      {metrics: shown, received: receivedDump(wasm), want: func(w *Want) { w.Configuration, w.Silent = x, "built elsewhere" }, state: Unknown},
		"received, nothing shown":     {metrics: "", received: receivedDump(wasm), want: func(w *Want) { w.Configuration = x }, state: Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := want
			if c.want != nil {
				c.want(&w)
			}
			v := judge(t, seen(t, c.metrics, c.received), w, nil)
			require.Equal(t, c.state, v.State, v.Reason)
			require.Contains(t, v.Reason, c.reason)
			require.Equal(t, c.state == Running && c.reason == "", v.Reason == "", v.Reason)
		})
	}
}

// A VM that was started anew since the last look traps; one that was before does not.
func TestTrapped(t *testing.T) {
	t.Parallel()
	before, after := seen(t, proves(11, 22, 3)+fmt.Sprintf(trapped, 2), ""), seen(t, proves(11, 22, 3)+fmt.Sprintf(trapped, 3), "")
	require.Equal(t, Trapped, judge(t, after, want, &before).State)
	require.Equal(t, Running, judge(t, after, want, &after).State)
	neighbour := seen(t, proves(11, 22, 3)+strings.Replace(fmt.Sprintf(trapped, 3), "_web_mine", "_a_web_mine", 1), "")
	require.Equal(t, Running, judge(t, neighbour, want, &before).State, "the VM of a-web/mine is another")
	other := want
	other.Object = "aweb/mine"
	require.Equal(t, Waiting, judge(t, after, other, &before).State)
}

// An object that was of another API a moment ago is twice in the dump, while the old listener drains.
func TestDraining(t *testing.T) {
	t.Parallel()
	entry := func(resource, updated, filter string) string {
		return `{"last_updated":"` + updated + `","ecds_filter":{"name":"` + resource + `","typed_config":` + filter + `}}`
	}
	now := entry("extensions.istio.io/wasmplugin/web.mine", "2026-01-02T00:00:01Z", deny)
	old := entry("web.mine", "2026-01-02T00:00:00Z", wasm)
	for _, dump := range []string{old + "," + now, now + "," + old} {
		require.Equal(t, Denying, judge(t, seen(t, shown, `{"configs":[`+dump+`]}`), want, nil).State)
	}
}

func TestUnexplained(t *testing.T) {
	t.Parallel()
	s := seen(t, shown, receivedDump(wasm))
	verdicts, err := Judge(s, nil, []string{"web"}, nil)
	require.NoError(t, err)
	require.Equal(t, []Verdict{{"web/mine", Unexplained, verdicts[0].Reason}}, verdicts)
	verdicts, err = Judge(s, nil, []string{"we", "b"}, nil)
	require.NoError(t, err)
	require.Empty(t, verdicts, "other namespaces are not ours")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	_, err := Judge(Seen{Received: []byte("[")}, nil, nil, nil)
	require.ErrorContains(t, err, "what Envoy has received")
	_, err = Metrics(strings.NewReader("<html>"))
	require.ErrorContains(t, err, "its metrics")
}

// What a proxy of the end-to-end test showed.
func TestRecorded(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/metrics.txt")
	require.NoError(t, err)
	defer file.Close()
	metrics, err := Metrics(file)
	require.NoError(t, err)
	says, ok := Seen{Metrics: metrics}.proven("web-dev/addheader")
	require.True(t, ok)
	w := Want{Object: "web-dev/addheader", Configuration: says.configuration, Build: says.build}
	require.Equal(t, Running, judge(t, Seen{Metrics: metrics}, w, nil).State)
}

func judge(t *testing.T, s Seen, w Want, earlier *Seen) Verdict {
	t.Helper()
	verdicts, err := Judge(s, []Want{w}, nil, earlier)
	require.NoError(t, err)
	require.Len(t, verdicts, 1)
	return verdicts[0]
}

func seen(t *testing.T, metrics, received string) (s Seen) {
	t.Helper()
	var err error
	s.Metrics, err = Metrics(strings.NewReader(metrics))
	require.NoError(t, err)
	if received != "" {
		s.Received = []byte(received)
	}
	return s
}
