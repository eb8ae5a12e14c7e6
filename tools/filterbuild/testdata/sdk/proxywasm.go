// Package proxywasm is an SDK under another path, cut to what the tests of prune need: Go's own directive for exports, as the
// official SDK has it.
package proxywasm

import (
	"example.org/sdk/internal"
	"example.org/sdk/types"
)

// SetVMContext registers the filter.
func SetVMContext(c types.VMContext) { internal.SetVMContext(c) }
