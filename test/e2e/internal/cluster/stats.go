package cluster

import (
	"bytes"
	"encoding/json"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/bootstrap"

	"github.com/wasmfleet/wasmfleet/test/e2e/internal/programs"
)

// addStats gives a bootstrap what Istio's own template says of statistics: which of them there are, what becomes a label, and the
// listener where the agent reads them, on this port of the loopback.
func addStats(t testing.TB, b *bootstrapv3.Bootstrap, admin, port int) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, bootstrap.New(bootstrap.Config{Node: &model.Node{
		ID: b.Node.Id, Locality: &corev3.Locality{},
		Metadata: &model.BootstrapNodeMetadata{NodeMetadata: model.NodeMetadata{
			EnvoyPrometheusPort: port,
			ProxyConfig: (*model.NodeMetaProxyConfig)(&meshconfig.ProxyConfig{
				DiscoveryAddress: "istiod:15012", ProxyAdminPort: int32(admin), ProxyMetadata: map[string]string{"METRICS_LOCALHOST_ACCESS_ONLY": "true"},
			}),
		}},
	}}).WriteTo(programs.File(t, "istio.io/istio", "tools/packaging/common/envoy_bootstrap.json"), &text))
	var istio struct {
		Stats  json.RawMessage `json:"stats_config"`
		Static struct {
			Clusters  []json.RawMessage `json:"clusters"`
			Listeners []json.RawMessage `json:"listeners"`
		} `json:"static_resources"`
	}
	require.NoError(t, json.Unmarshal(text.Bytes(), &istio))
	b.StatsConfig = &metricsv3.StatsConfig{}
	require.NoError(t, protojson.Unmarshal(istio.Stats, b.StatsConfig))
	require.NotEmpty(t, b.StatsConfig.GetStatsMatcher().GetInclusionList().GetPatterns(), "Istio shows everything: what is tested is another proxy")

	for _, text := range istio.Static.Clusters {
		var c clusterv3.Cluster
		if named(t, text) == "prometheus_stats" {
			unmarshal(t, text, &c)
			b.StaticResources.Clusters = append(b.StaticResources.Clusters, &c)
		}
	}
	for _, text := range istio.Static.Listeners {
		var l listenerv3.Listener
		if bytes.Contains(text, []byte(`"stat_prefix": "stats"`)) {
			unmarshal(t, text, &l)
			b.StaticResources.Listeners = append(b.StaticResources.Listeners, &l)
		}
	}
	require.Len(t, b.StaticResources.Listeners, 1)
}

func named(t testing.TB, text []byte) string {
	var named struct{ Name string }
	require.NoError(t, json.Unmarshal(text, &named))
	return named.Name
}

func unmarshal(t testing.TB, text []byte, m proto.Message) {
	t.Helper()
	require.NoError(t, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(text, m), string(text))
}
