package main

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

func main() {}

func init() {
	proxywasm.LogInfof("%d", 1)
	time.Sleep(time.Second)
	go func() {}()
}
