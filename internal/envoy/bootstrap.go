// Package envoy is Envoy the program on this machine: where it is, what it is configured with, how it is started, what it logs.
package envoy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Marshal is the JSON that Envoy reads. The names are those of its documentation.
func Marshal(m proto.Message) ([]byte, error) {
	return protojson.MarshalOptions{UseProtoNames: true, Multiline: true}.Marshal(m)
}

// Resources is the content of a file that Envoy discovers resources from. Its frame, DiscoveryResponse, is written by hand: the
// package of that message would link gRPC into every tool.
func Resources[M proto.Message](resources ...M) ([]byte, error) {
	response := struct {
		Resources []json.RawMessage `json:"resources"`
	}{Resources: []json.RawMessage{}}
	for _, r := range resources {
		packed, err := anypb.New(r)
		if err != nil {
			return nil, err
		}
		data, err := Marshal(packed)
		if err != nil {
			return nil, err
		}
		response.Resources = append(response.Resources, data)
	}
	return json.MarshalIndent(response, "", "  ")
}

// FromFile is a source of resources that Envoy reads again whenever a file is renamed onto path, and only then.
func FromFile(path string) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
			PathConfigSource: &corev3.PathConfigSource{Path: path},
		},
	}
}

// Static is an HTTP filter whose configuration stands in the listener.
func Static(name string, config proto.Message) (*hcmv3.HttpFilter, error) {
	packed, err := anypb.New(config)
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed}}, err
}

// Discovered is an HTTP filter whose configuration, of the same type as example, is discovered under the filter's name.
func Discovered(name string, source *corev3.ConfigSource, example proto.Message) (*hcmv3.HttpFilter, error) {
	packed, err := anypb.New(example)
	if err != nil {
		return nil, err
	}
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{
		ConfigDiscovery: &corev3.ExtensionConfigSource{ConfigSource: source, TypeUrls: []string{packed.TypeUrl}},
	}}, nil
}

// Extension is the discovered configuration of the filter name.
func Extension(name string, config proto.Message) (*corev3.TypedExtensionConfig, error) {
	packed, err := anypb.New(config)
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: packed}, err
}

// Listener is an HTTP listener with the filters in their order, the router behind them, and the routes.
func Listener(name string, address netip.AddrPort, filters []*hcmv3.HttpFilter, routes []*routev3.Route) (*listenerv3.Listener, error) {
	router, err := Static("envoy.filters.http.router", &routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix:  name,
		HttpFilters: append(filters[:len(filters):len(filters)], router),
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name:         name,
			VirtualHosts: []*routev3.VirtualHost{{Name: name, Domains: []string{"*"}, Routes: routes}},
		}},
	})
	return &listenerv3.Listener{
		Name:    name,
		Address: socketAddress(address),
		// Without this a second process could listen on the same port and take half of the connections.
		EnableReusePort: wrapperspb.Bool(false),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
		}}}},
	}, err
}

// Route sends what begins with prefix to a cluster.
func Route(prefix, cluster string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
		}},
	}
}

// DirectResponse answers what begins with prefix in Envoy itself.
func DirectResponse(prefix string, status int, body string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: uint32(status),
			Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}},
		}},
	}
}

// Cluster is an upstream with one address.
func Cluster(name string, address netip.AddrPort) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ConnectTimeout:       durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(address)}},
			}}}},
		},
	}
}

// WorkerHangs is how long a worker may be silent before Envoy counts it as one that hangs: server.worker_N.watchdog_mega_miss.
const WorkerHangs = 4 * time.Second

// Bootstrap is the start of an Envoy that discovers listeners and clusters from files. Its admin interface takes a free port of
// the loopback: --admin-address-path says which.
func Bootstrap(listeners, clusters string) *bootstrapv3.Bootstrap {
	return &bootstrapv3.Bootstrap{
		Node:  &corev3.Node{Id: "wasmfleet", Cluster: "wasmfleet"},
		Admin: &bootstrapv3.Admin{Address: socketAddress(netip.MustParseAddrPort("127.0.0.1:0"))},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: FromFile(listeners),
			CdsConfig: FromFile(clusters),
		},
		// Envoy's own times are shorter than what a busy machine takes now and then.
		Watchdogs: &bootstrapv3.Watchdogs{WorkerWatchdog: &bootstrapv3.Watchdog{
			MissTimeout: durationpb.New(2 * time.Second), MegamissTimeout: durationpb.New(WorkerHangs),
		}},
		// As Istio's bootstrap has it: docs/metrics.md.
		StatsConfig: &metricsv3.StatsConfig{StatsTags: []*metricsv3.TagSpecifier{{
			TagName:  "wasm_filter",
			TagValue: &metricsv3.TagSpecifier_Regex{Regex: `(wasm_filter\.(.+?)\.)`},
		}}},
	}
}

// LocalFile is code from a file. Envoy does not look at the file again while its path stays the same, so the path must
// change with the bytes.
func LocalFile(path string) *corev3.AsyncDataSource {
	return &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{
		Local: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}},
	}}
}

// Cluster names as istiod makes them: https://istio.io/latest/docs/ops/diagnostic-tools/proxy-cmd/
func OutboundCluster(host string, port int) string { return fmt.Sprintf("outbound|%d||%s", port, host) }

func socketAddress(a netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       a.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}
