// Command addheader is a filter that puts one configured header on every response.
//
// It is built by TinyGo into build/addheader.wasm; see README.md for its configuration.
package main

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// main is never called: the host runs _initialize, which runs init, and then calls back.
func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }
