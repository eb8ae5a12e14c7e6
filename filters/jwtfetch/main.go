// Command jwtfetch is a filter that fetches a token from a token service, keeps it fresh, and puts it on the requests that the
// proxy sends upstream.
//
// It is built by TinyGo into build/jwtfetch.wasm; see README.md for its configuration.
package main

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// main is never called: the host runs _initialize, which runs init, and then calls back.
func main() {}

func init() { proxywasm.SetVMContext(newVMContext()) }
