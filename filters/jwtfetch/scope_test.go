package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cluster, hosts string // hosts are separated by spaces
		want           verdict
	}{
		{"outbound|443||api.example.com", "api.example.com", inside},
		{"outbound|443|v2|api.example.com", "api.example.com", inside},
		{"outbound|443||api.example.com", "other.example.com api.example.com", inside},
		{"outbound|443||api.example.com", "*.example.com", inside},
		{"outbound|443||a.b.example.com", "*.example.com", inside},
		{"outbound|443||api.example.com", "*", inside},
		{"inbound-vip|80|http|api.example.com", "api.example.com", inside},
		{"outbound|443||example.com", "*.example.com", outside},
		{"outbound|443||badexample.com", "*.example.com", outside},
		{"outbound|443||api.example.com.evil.org", "*.example.com api.example.com", outside},
		{"outbound|443||api.example.co", "api.example.com", outside},
		{"outbound|443||xapi.example.com", "api.example.com", outside},
		{"outbound|443||API.example.com", "api.example.com", outside},
		// What goes to the workload itself has no host.
		{"inbound|8080||", "*", inside},
		{"inbound|8080||", "api.example.com *.example.com", outside},
		{"InboundPassthroughCluster", "*", inside},
		{"InboundPassthroughClusterIpv4", "api.example.com", outside},
		// These can be anybody.
		{"PassthroughCluster", "*", outside},
		{"BlackHoleCluster", "*", outside},
		{"", "*", outside},
		// A cluster that Istio has not named stands for itself.
		{"backend", "backend", inside},
		{"backend", "*", inside},
		{"backend", "api.example.com", outside},
		{"a|b|c", "c", outside},
		{"outbound|443||a|api.example.com", "api.example.com", outside},
		// A cluster for many hosts.
		{"outbound|443||*.example.com", "*.example.com", inside},
		{"outbound|443||*.eu.example.com", "*.example.com", inside},
		{"outbound|443||*.example.com", "api.example.com", byAuthority},
		{"outbound|443||*.example.com", "*.eu.example.com", byAuthority},
		{"outbound|443||*.example.com", "api.example.org *.example.org example.com", outside},
	}
	for _, tt := range tests {
		c := config{hosts: strings.Fields(tt.hosts)}
		require.Equal(t, tt.want, c.judge(tt.cluster), "%s, %s", tt.cluster, tt.hosts)
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	c := config{hosts: []string{"api.example.com", "*.eu.example.com"}}
	const cluster = "outbound|443||*.example.com"
	for _, authority := range []string{"api.example.com", "API.Example.com", "api.example.com:443", "a.eu.example.com"} {
		require.True(t, c.covers(cluster, authority), authority)
	}
	for _, authority := range []string{"", "example.com", "evil.example.com", "eu.example.com", "api.example.com.", "api.example.com:x", "user@api.example.com"} {
		require.False(t, c.covers(cluster, authority), authority)
	}
	require.False(t, c.covers("outbound|443||*.example.org", "api.example.com"), "not one of the cluster")
}

func TestHasPath(t *testing.T) {
	t.Parallel()
	c := config{paths: []string{"/", "/v1/orders", "/v2/*"}}
	for path, want := range map[string]bool{
		"/": true, "/?a=b": true, "/v1/orders": true, "/v1/orders?x=/": true, "/v2/": true, "/v2/a/b": true,
		"": false, "/v1": false, "/v1/orders/": false, "/V1/orders": false, "/v2": false, "/v3?/v2/": false, "*": false,
	} {
		require.Equal(t, want, c.hasPath(path), path)
	}
	require.True(t, (&config{}).hasPath("/anything"), "no paths: all")
}
