// Command apikey is a filter that lets requests through which carry the key of a known consumer.
//
// It is built by TinyGo into build/apikey.wasm; see README.md for its configuration.
package main

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// main is never called: the host runs _initialize, which runs init, and then calls back.
func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }
