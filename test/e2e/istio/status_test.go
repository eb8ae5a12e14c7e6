package istio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"
	extensions "istio.io/api/extensions/v1alpha1"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
	"github.com/wasmfleet/wasmfleet/tools/verify"
)

// seen is what a proxy shows, with Istio's own stats matcher: by :15020, and with admin what Envoy has received.
func (f *full) seen(p *cluster.Proxy, admin bool) (s proxystatus.Seen) {
	f.Helper()
	var err error
	s.Metrics, err = proxystatus.Metrics(bytes.NewReader(f.get(p.Agent + "/stats/prometheus")))
	require.NoError(f, err)
	for _, m := range s.Metrics {
		require.False(f, strings.HasPrefix(m.Name, "envoy_extension_config_discovery"), "Istio's matcher hides it: is it in the bootstrap?")
	}
	if admin {
		s.Received = f.get(p.Admin + "/config_dump?resource=ecds_filters")
	}
	return s
}

func (f *full) get(url string) []byte {
	f.Helper()
	resp, err := client.Get(url)
	require.NoError(f, err)
	defer resp.Body.Close()
	require.Equal(f, http.StatusOK, resp.StatusCode, url)
	body, err := io.ReadAll(resp.Body)
	require.NoError(f, err)
	return body
}

// want is addheader as it was last applied.
func (f *full) want() proxystatus.Want {
	f.Helper()
	plugins, err := plugin.Plugins(map[string][]byte{"addheader.yaml": []byte(f.applied)})
	require.NoError(f, err)
	require.Len(f, plugins, 1)
	p := plugins[0]
	filter, err := p.HTTPFilter(nil)
	require.NoError(f, err)
	var configuration wrapperspb.StringValue
	require.NoError(f, filter.Config.Configuration.UnmarshalTo(&configuration))
	_, digest, ok := strings.Cut(f.applied, "sha256:")
	require.True(f, ok, f.applied)
	w := proxystatus.Want{
		Object: ns + "/addheader", Digest: "sha256:" + digest[:64], Configuration: plugin.Fingerprint([]byte(configuration.Value)),
		Open: p.Spec.FailStrategy == extensions.FailStrategy_FAIL_OPEN,
	}
	w.Build, ok = f.builds[w.Digest]
	w.Missing = !ok
	if w.Missing {
		w.Silent = "no such image"
	}
	return w
}

// becomes waits until what Envoy shows says so of addheader on the sidecar. What metrics alone say is then the same, or less: never that
// something runs that does not.
func (f *full) becomes(state proxystatus.State) proxystatus.Verdict {
	f.Helper()
	return f.becomesWithin(changed, state)
}

// drained is longer than a listener of Istio's drains.
const drained = 90 * time.Second

func (f *full) becomesWithin(limit time.Duration, state proxystatus.State) (v proxystatus.Verdict) {
	f.Helper()
	want := f.want()
	process.Until(f, limit, string(state), func(context.Context) error {
		v = f.judge(f.seen(f.sidecar, true), want)
		if v.State != state {
			return fmt.Errorf("got %+v", v)
		}
		return nil
	})
	var byMetrics proxystatus.Verdict
	process.Until(f, changed, "the same of metrics alone", func(context.Context) error {
		byMetrics = f.judge(f.seen(f.sidecar, false), want)
		if state != proxystatus.Running && byMetrics.State == proxystatus.Running {
			return errors.New("its VM has not ended yet") // it does so a moment after the listener
		}
		return nil
	})
	f.Logf("status: %s %s. by metrics alone: %s %s", v.State, v.Reason, byMetrics.State, byMetrics.Reason)
	if state == proxystatus.Running {
		require.Contains(f, []proxystatus.State{proxystatus.Running, proxystatus.Unknown}, byMetrics.State)
		// A seeded lie for each of its parts: what is not so is not said to run.
		for _, lie := range []func(*proxystatus.Want){
			func(w *proxystatus.Want) { w.Configuration++ },
			func(w *proxystatus.Want) { w.Build++ },
			func(w *proxystatus.Want) { w.Object += "2" },
		} {
			other := want
			lie(&other)
			for _, admin := range []bool{true, false} {
				require.NotEqual(f, proxystatus.Running, f.judge(f.seen(f.sidecar, admin), other).State)
			}
		}
	}
	return v
}

func (f *full) judge(s proxystatus.Seen, want proxystatus.Want) proxystatus.Verdict {
	f.Helper()
	verdicts, err := proxystatus.Judge(s, []proxystatus.Want{want}, nil, nil)
	require.NoError(f, err)
	require.Len(f, verdicts, 1)
	return verdicts[0]
}

// verify runs the verb against the cluster, and says what it exits with and prints.
func (f *full) verify(args ...string) (code int, out string) {
	f.Helper()
	return f.verifyAs(cluster.Admin, args...)
}

func (f *full) verifyAs(user string, args ...string) (code int, out string) {
	f.Helper()
	f.Setenv("KUBECONFIG", f.api.Kubeconfig(f, user, ""))
	how := []string{"--via", "address"}
	if slices.Contains(args, "--via") || slices.Contains(args, "--admin") || slices.Contains(args, "--prometheus") {
		how = nil
	}
	var stdout, stderr bytes.Buffer
	code = verify.Command().Main(append([]string{"--dir", f.tree.dir, "--filters", root + "/filters", "dev"}, append(how, args...)...), &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// verified: every proxy runs what dev pins, and the verb says so.
func (f *full) verified() {
	f.Helper()
	code, out := f.verify("--timeout", changed.String())
	require.Zero(f, code, out)
	require.Contains(f, out, "2 of 2 proxies run what is pinned")
	f.Log(out)

	f.Log("by a Prometheus")
	server := prometheus(f.T, map[string]proxystatus.Seen{"web": f.seen(f.sidecar, false), "gateway": f.seen(f.gateway, false)})
	code, out = f.verify("--prometheus", server)
	require.Zero(f, code, out)
	require.Contains(f, out, "2 of 2 proxies run what is pinned")
	code, out = f.verify("--prometheus", prometheus(f.T, map[string]proxystatus.Seen{"web": f.seen(f.sidecar, false)}))
	require.Equal(f, cli.ExitFindings, code, out)
	require.Contains(f, out, "has no metric of this pod")
	code, out = f.verify("--prometheus", prometheus(f.T, nil))
	require.Equal(f, cli.ExitFailure, code, out)
	require.Contains(f, out, "has no metric of a proxy")

	f.Log("by port-forward")
	proxies := map[string]*cluster.Proxy{ns + "/web": f.sidecar, ns + "/gateway": f.gateway}
	cluster.Forwards(f, f.api, func(pod string, port int32) (string, bool) {
		p, ok := proxies[pod]
		if !ok {
			return "", false
		}
		if port == 15000 {
			return strings.TrimPrefix(p.Admin, "http://"), true
		}
		return strings.TrimPrefix(p.Agent, "http://"), strings.HasSuffix(p.Agent, fmt.Sprint(":", port))
	})
	for _, args := range [][]string{{"--via", "port-forward"}, {"--admin"}} {
		code, out = f.verify(args...)
		require.Zero(f, code, out)
		require.Contains(f, out, "2 of 2 proxies run what is pinned")
	}
	if file := os.Getenv("METRICS_TO"); file != "" { // makes internal/proxystatus/testdata/metrics.txt anew
		require.NoError(f, os.WriteFile(file, f.get(f.sidecar.Agent+"/stats/prometheus"), 0o644))
	}
}

// unverified: what is not so, is not there, or cannot be seen is said, and is no success.
func (f *full) unverified() {
	f.Helper()
	f.tree.edit("overlays/dev/addheader-config.yaml", "value: world", "value: unsynced")
	code, out := f.verify()
	f.tree.edit("overlays/dev/addheader-config.yaml", "value: unsynced", "value: world")
	require.Equal(f, cli.ExitFindings, code, out)
	require.Contains(f, out, "web-dev/addheader on web-dev/web: other: it runs the pinned build with another configuration")

	code, out = f.verify("--context", "nobody")
	require.Equal(f, cli.ExitFailure, code, out)
	require.Contains(f, out, `context "nobody" does not exist`)

	code, out = f.verifyAs("nobody")
	require.Equal(f, cli.ExitFailure, code, out)
	require.Contains(f, out, "verify needs get and list of pods there")
}
