// Command jsonguard is a filter that lets JSON through which is strict and small enough, without the values that nobody shall see.
//
// It is built by TinyGo into build/jsonguard.wasm; see README.md for its configuration.
package main

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// main is never called: the host runs _initialize, which runs init, and then calls back.
func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }
