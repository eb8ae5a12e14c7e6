package policy

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
)

// stories are series, one sample a minute, and the alerts that fire in the end.
var stories = map[string]struct {
	series string
	after  time.Duration
	want   []string
}{
	"all is well": {`
		istio_agent_wasm_config_conversion_count{namespace="web-dev", pod="a", result="success"} 0+1x60
		istio_agent_wasm_config_conversion_count{namespace="web-dev", pod="a", result="no_remote_load"} 0+1x60
		pilot_total_xds_rejects{type="cds", pod="istiod"} 0+1x60
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60
		argocd_app_info{project="another", name="x", sync_status="OutOfSync"} 1x60
		jwtfetch_denied_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 5x60
		jwtfetch_fetches_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 0x10 1x20 2x30
		jwtfetch_failures_nosecret_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 0x60
		jwtfetch_last_success_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 1x60
		jwtfetch_token_expiry_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 9000x60
		jwtfetch_fetches_total{namespace="web-dev", pod="a", wasm_filter="web-dev/removed"} 7x60
		jwtfetch_last_success_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/removed"} 1x60
		jwtfetch_token_expiry_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/removed"} 300x60`, time.Hour, nil},
	"an image is gone, the counter is new": {`
		istio_agent_wasm_config_conversion_count{namespace="web-dev", pod="a", result="fetch_failure"} _x55 1x5
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"WasmImageNotFetched"}},
	"an image is gone, the counter grows": {`
		istio_agent_wasm_config_conversion_count{namespace="web-dev", pod="a", result="fetch_failure"} 3x55 4x5
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"WasmImageNotFetched"}},
	"an image was gone": {`
		istio_agent_wasm_config_conversion_count{namespace="web-dev", pod="a", result="fetch_failure"} 0x10 1x50
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, nil},
	"a filter runs on one of two proxies": {`
		wasmfleet_running{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 3x60
		wasmfleet_running{namespace="web-dev", pod="b", wasm_filter="web-dev/one"} 3x30 0x30
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"WasmFilterNotRunning"}},
	"a filter was retired": {`
		wasmfleet_running{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 3x30 0x30
		wasmfleet_running{namespace="web-dev", pod="b", wasm_filter="web-dev/one"} 3x30 0x30
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, nil},
	"a configuration is refused": {`
		pilot_total_xds_rejects{type="ecds", namespace="istio-system", pod="istiod"} _x57 1x3
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"WasmConfigurationRefused"}},
	"dev is not synced": {`
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="OutOfSync"} 1x60`, 20 * time.Minute, []string{"WasmfleetOutOfSync"}},
	"dev is not synced yet": {`
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="OutOfSync"} 1x60`, 10 * time.Minute, nil},
	"prod waits for its window": {`
		argocd_app_info{project="wasmfleet", name="wasmfleet-prod", sync_status="OutOfSync"} 1x6000`, 80 * time.Hour, nil},
	"prod is not synced": {`
		argocd_app_info{project="wasmfleet", name="wasmfleet-prod", sync_status="OutOfSync"} 1x6000`, 91 * time.Hour, []string{"WasmfleetOutOfSync"}},
	"no Application": {`
		argocd_app_info{project="another", name="x", sync_status="Synced"} 1x60`, time.Hour, []string{"WasmfleetNoApplication"}},
	"no token": {`
		jwtfetch_denied_total{namespace="web-dev", pod="a"} 0+7x60
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"JwtfetchRequestsDenied"}},
	"one of two has never had a token": {`
		jwtfetch_token_expiry_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 9000x60
		jwtfetch_token_expiry_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/two"} 0x60
		jwtfetch_fetches_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 1x60
		jwtfetch_fetches_total{namespace="web-dev", pod="a", wasm_filter="web-dev/two"} 0+2x60
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"JwtfetchNoToken"}},
	"a secret is not there": {`
		jwtfetch_token_expiry_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 0x60
		jwtfetch_fetches_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 0x60
		jwtfetch_failures_nosecret_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 0+2x60
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"JwtfetchNoToken"}},
	"an old token": {`
		jwtfetch_token_expiry_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 600x60
		jwtfetch_last_success_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 1x60
		jwtfetch_fetches_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 0+2x60
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"JwtfetchTokenNotRefreshed"}},
	"an old token, not yet over": {`
		jwtfetch_token_expiry_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 9000x60
		jwtfetch_last_success_timestamp_seconds{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 1x60
		jwtfetch_fetches_total{namespace="web-dev", pod="a", wasm_filter="web-dev/one"} 0+2x60
		argocd_app_info{project="wasmfleet", name="wasmfleet-dev", sync_status="Synced"} 1x60`, time.Hour, []string{"JwtfetchFetchesFail"}},
}

// Each story makes Prometheus's own rules and engine fire what it should, and nothing else; each alert fires in some story.
func TestAlerts(t *testing.T) {
	syntax := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.ParseFile(filepath.Join(root, "docs", "alerts.yaml"), false, model.UTF8Validation, syntax)
	require.Empty(t, errs)
	ever := map[string]bool{}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			storage := promqltest.LoadedStorage(t, "load 1m"+story.series)
			query := promrules.EngineQueryFunc(promqltest.NewTestEngine(t, false, 5*time.Minute, 1e6), storage)
			firing := map[string]bool{}
			for _, rule := range groups.Groups[0].Rules {
				expr, err := syntax.ParseExpr(rule.Expr)
				require.NoError(t, err)
				alert := promrules.NewAlertingRule(rule.Alert, expr, time.Duration(rule.For), 0, labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations),
					labels.EmptyLabels(), "", false, promslog.NewNopLogger())
				for at := time.Duration(0); at <= story.after; at += time.Minute {
					_, err := alert.Eval(t.Context(), 0, time.Unix(0, 0).Add(at), query, nil, 0)
					require.NoError(t, err)
				}
				for _, a := range alert.ActiveAlerts() {
					require.NotContains(t, a.Annotations.Get("summary"), "<no value>")
					if a.State == promrules.StateFiring {
						firing[rule.Alert], ever[rule.Alert] = true, true
					}
				}
			}
			require.ElementsMatch(t, story.want, slices.Collect(maps.Keys(firing)))
		})
	}
	for _, rule := range groups.Groups[0].Rules {
		require.True(t, ever[rule.Alert], "no story of %s", rule.Alert)
	}
}
