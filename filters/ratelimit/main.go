// Command ratelimit is a filter that limits how many requests a client may send, over all workers of a proxy.
//
// It is built by TinyGo into build/ratelimit.wasm; see README.md for its configuration.
package main

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// main is never called: the host runs _initialize, which runs init, and then calls back.
func main() {}

func init() { proxywasm.SetVMContext(newVMContext()) }
