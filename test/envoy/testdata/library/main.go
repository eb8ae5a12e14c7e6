// Command library is a filter that only the tests use. Its contexts and its callout are those of another module: nobody comes in
// without x-api-key, and who has one waits for an answer.
package main

import (
	"example.org/kit"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { kit.Serve(guard) }

func guard() types.Action {
	if _, err := proxywasm.GetHttpRequestHeader("x-api-key"); err != nil {
		_ = proxywasm.SendHttpResponse(401, nil, []byte("no key"), -1)
		return types.ActionPause
	}
	if err := kit.Get("outbound|80||token.internal", "/auth", func() { _ = proxywasm.ResumeHttpRequest() }); err != nil {
		proxywasm.LogError(err.Error())
		return types.ActionContinue
	}
	return types.ActionPause
}
