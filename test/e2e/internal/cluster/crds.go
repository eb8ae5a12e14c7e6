package cluster

import "testing"

// ApplyCRDs applies the CRDs of a file and returns when objects of their kinds can be created.
func (a *API) ApplyCRDs(t testing.TB, file string) {
	t.Helper()
	a.ApplyFile(t, file)
	a.established(t)
}
