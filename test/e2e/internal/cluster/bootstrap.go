package cluster

import (
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Bootstrap is what Istio's own template says, less its two listeners, which bind every address. xds is where the discovery
// service is, and sds that of certificates, if any.
func Bootstrap(t testing.TB, o ProxyOptions, admin int, xds, sds *corev3.Address) *bootstrapv3.Bootstrap {
	t.Helper()
	clusters := []*clusterv3.Cluster{grpcCluster(t, "xds-grpc", xds)}
	if sds != nil {
		clusters = append(clusters, grpcCluster(t, "sds-grpc", sds))
	}
	labels := map[string]any{}
	for name, value := range o.Labels {
		labels[name] = value
	}
	metadata, err := structpb.NewStruct(map[string]any{
		"NAME": o.Name, "NAMESPACE": o.Namespace, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.31.0",
		"INTERCEPTION_MODE": "NONE", // or Envoy would listen where iptables send connections, on every address
		"LABELS":            labels,
		"STATIC_LABELS":     labels, // istiod may not replace them by those of an endpoint at the same address
	})
	require.NoError(t, err)
	ads := &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   durationpb.New(0), // wait for ever
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
	return &bootstrapv3.Bootstrap{
		Node: &corev3.Node{
			Id:       o.Kind + "~" + o.Address + "~" + o.Name + "." + o.Namespace + "~" + o.Namespace + ".svc.cluster.local",
			Cluster:  o.Name + "." + o.Namespace,
			Metadata: metadata,
		},
		Admin: &bootstrapv3.Admin{Address: Socket(admin)},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: ads, CdsConfig: ads,
			AdsConfig: &corev3.ApiConfigSource{
				ApiType: corev3.ApiConfigSource_DELTA_GRPC, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
				GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: "xds-grpc"},
				}}},
			},
		},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Clusters: clusters},
	}
}

// Socket is a port of the loopback.
func Socket(port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

// pipe is a socket of the agent, relative to its folder.
func pipe(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

func grpcCluster(t testing.TB, name string, address *corev3.Address) *clusterv3.Cluster {
	t.Helper()
	options, err := anypb.New(&httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
		ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}},
		},
	}})
	require.NoError(t, err)
	return &clusterv3.Cluster{
		Name: name, ConnectTimeout: durationpb.New(time.Second), ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
				Address: address,
			}}}},
		}}},
	}
}
