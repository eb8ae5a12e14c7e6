// Package gitops is the whole loop on this machine: git, Argo CD, the API, Istio, Envoy, a request.
package gitops

import _ "github.com/alicebob/miniredis/v2" // Argo CD's cache in the tests
