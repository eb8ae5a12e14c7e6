package wasmfile

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// A module of this repository's build says which build it is, by a gauge (tools/filterbuild/sdk/proof.go). It cannot hold its own hash: the
// hash is over the module with a placeholder.
var (
	buildMark    = []byte("wasmfleet build:")
	buildUnknown = []byte("??????")
)

// Seal fills in which build the module is; false when it has no place for it.
func Seal(module []byte) ([]byte, bool) {
	place := append(slices.Clone(buildMark), buildUnknown...)
	if bytes.Count(module, place) != 1 {
		return module, false
	}
	at := bytes.Index(module, place) + len(buildMark)
	sealed := slices.Clone(module)
	hash := sha256.Sum256(module)
	copy(sealed[at:at+len(buildUnknown)], hash[:])
	return sealed, true
}

// Build is which build a sealed module is: 48 bits. False when it is not sealed, or was changed since.
func Build(module []byte) (uint64, bool) {
	at := bytes.Index(module, buildMark) + len(buildMark)
	if at < len(buildMark) || at+len(buildUnknown) > len(module) {
		return 0, false
	}
	open := slices.Clone(module)
	copy(open[at:], buildUnknown)
	if sealed, ok := Seal(open); !ok || !bytes.Equal(sealed, module) {
		return 0, false
	}
	var build uint64
	for _, b := range module[at : at+len(buildUnknown)] {
		build = build<<8 | uint64(b)
	}
	return build, true
}
