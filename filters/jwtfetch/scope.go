package main

import (
	"errors"
	"strings"
)

// A verdict is what the cluster alone says about a request.
type verdict int

const (
	outside verdict = iota
	inside
	byAuthority // the cluster is for many hosts, some of which are in scope
)

// judge tells whether requests to a cluster may have the token.
func (c *config) judge(cluster string) verdict {
	host, known := clusterHost(cluster)
	switch {
	case !known:
		return outside
	case matchesAny(c.hosts, host):
		return inside
	case strings.HasPrefix(host, "*."):
		for _, pattern := range c.hosts {
			if matches(host, strings.TrimPrefix(pattern, "*.")) {
				return byAuthority
			}
		}
	}
	return outside
}

// covers tells whether an :authority is in scope where the cluster is for many hosts: it must be one of them and one of ours.
func (c *config) covers(cluster, authority string) bool {
	host := lowerHost(authority)
	known, _ := clusterHost(cluster)
	return matches(known, host) && matchesAny(c.hosts, host)
}

// clusterHost is the host that a cluster of Envoy stands for. Istio names it in the cluster, as in outbound|443||api.example.com,
// but not for what goes to the workload itself: inbound|8080|| has no host, which only * matches. Istio's clusters for hosts that
// the mesh does not know have none either, and they can be anybody: they are never in scope. Other names stand for themselves.
func clusterHost(cluster string) (host string, known bool) {
	if parts := strings.Split(cluster, "|"); len(parts) == 4 {
		return parts[3], true
	}
	switch {
	case cluster == "" || cluster == "PassthroughCluster" || cluster == "BlackHoleCluster":
		return "", false
	case strings.HasPrefix(cluster, "InboundPassthrough"):
		return "", true
	}
	return cluster, true
}

func matchesAny(patterns []string, host string) bool {
	for _, pattern := range patterns {
		if matches(pattern, host) {
			return true
		}
	}
	return false
}

// matches compares with a name, *.suffix or *. A host that is a pattern itself matches where all that it stands for would.
func matches(pattern, host string) bool {
	if pattern == "*" {
		return true
	}
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
	}
	return pattern == host
}

// lowerHost is the host of an :authority, without its port.
func lowerHost(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && all(authority[i+1:], isDigit) {
		authority = authority[:i]
	}
	b := []byte(authority)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

// hasPath tells whether a :path is in scope.
func (c *config) hasPath(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	for _, pattern := range c.paths {
		if prefix, ok := strings.CutSuffix(pattern, "*"); pattern == path || ok && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return len(c.paths) == 0
}

func hostPattern(s string) (string, error) {
	if s == "*" {
		return s, nil
	}
	if _, err := host(strings.TrimPrefix(s, "*.")); err != nil {
		return "", errors.New(`want a host name in lower case, "*." and the end of one, or "*"`)
	}
	return s, nil
}

func pathPattern(s string) (string, error) {
	if _, err := path(s); err != nil || strings.Contains(strings.TrimSuffix(s, "*"), "*") || strings.Contains(s, "?") {
		return "", errors.New(`want a path such as "/v1/orders", or the beginning of paths such as "/v1/*"`)
	}
	return s, nil
}
