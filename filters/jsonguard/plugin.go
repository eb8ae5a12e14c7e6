package main

import (
	"strconv"
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/metric"
	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

// vmContext implements types.VMContext.
type vmContext struct {
	// Embed the default VM context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultVMContext
}

// NewPluginContext implements types.VMContext.
func (*vmContext) NewPluginContext(uint32) types.PluginContext { return &pluginContext{} }

// pluginContext implements types.PluginContext.
type pluginContext struct {
	// Embed the default plugin context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultPluginContext
	config  config
	metrics metrics
}

// metrics are the statistics of one object.
type metrics struct {
	requests  metric.Counter // jsonguard_refused_requests_total in Prometheus
	responses metric.Counter // jsonguard_refused_responses_total
	cut       metric.Counter // jsonguard_cut_responses_total
	redacted  metric.Counter // jsonguard_redacted_total
	names     []string       // kept, as the emulator of the SDK's tests refers to the guest's own bytes
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	data, err := pluginconfig.Load()
	if err == nil {
		p.config, err = parseConfig(data)
	}
	if err != nil {
		proxywasm.LogCritical("jsonguard: parsing plugin configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	m, prefix := &p.metrics, metric.Prefix(metric.Object(), "jsonguard")
	for _, name := range []string{"refused.requests.total", "refused.responses.total", "cut.responses.total", "redacted.total"} {
		m.names = append(m.names, prefix+name)
	}
	m.requests, m.responses = metric.NewCounter(m.names[0]), metric.NewCounter(m.names[1])
	m.cut, m.redacted = metric.NewCounter(m.names[2]), metric.NewCounter(m.names[3])
	return types.OnPluginStartStatusOK
}

// NewHttpContext implements types.PluginContext.
func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { return &httpContext{plugin: p} }

// httpContext implements types.HttpContext.
type httpContext struct {
	// Embed the default http context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultHttpContext
	plugin *pluginContext
	// request and response are nil where a body is not judged, and from when it has been.
	request, response *checker
	held              int    // bytes of the request that were read
	left              []byte // of the request, when values are redacted
	refused           bool   // the answer is the filter's own, or has been cut
}

// OnHttpRequestHeaders implements types.HttpContext. What can be refused here does not reach the upstream; the body is judged later.
func (ctx *httpContext) OnHttpRequestHeaders(_ int, endOfStream bool) types.Action {
	if s := ctx.plugin.config.response; s != nil {
		// What is compressed, and a part of a document, cannot be judged. So the upstream is not asked for it.
		unwanted := []string{"range", "if-range"}
		if s.compressed == deny {
			unwanted = append(unwanted, "accept-encoding")
		}
		for _, name := range unwanted {
			if err := proxywasm.RemoveHttpRequestHeader(name); err != nil {
				proxywasm.LogError("jsonguard: removing request header: " + err.Error())
			}
		}
	}
	s := ctx.plugin.config.request
	if s == nil || endOfStream {
		return types.ActionContinue
	}
	status, why, check := s.judge(proxywasm.GetHttpRequestHeader)
	if status != 0 {
		return ctx.refuseRequest(status, why)
	}
	if !check {
		return types.ActionContinue
	}
	if len(s.pointers) > 0 {
		// The length of what will be sent is not known yet.
		if err := proxywasm.RemoveHttpRequestHeader("content-length"); err != nil {
			proxywasm.LogError("jsonguard: removing content-length: " + err.Error())
		}
	}
	ctx.request = newChecker(s)
	return types.ActionContinue
}

// OnHttpRequestBody implements types.HttpContext. The body is held until all of it is judged, and judged as it comes.
func (ctx *httpContext) OnHttpRequestBody(size int, endOfStream bool) types.Action {
	if ctx.refused {
		return types.ActionPause
	}
	if ctx.request == nil {
		return types.ActionContinue
	}
	if size > ctx.held {
		piece, err := proxywasm.GetHttpRequestBody(ctx.held, size-ctx.held)
		if err == nil {
			ctx.left, err = ctx.request.write(piece, ctx.left)
		}
		if err != nil {
			return ctx.refuseBody(err)
		}
		ctx.held = size
	}
	if !endOfStream {
		return types.ActionPause
	}
	return ctx.endRequest()
}

// OnHttpRequestTrailers implements types.HttpContext: with them no piece of the body is the last one.
func (ctx *httpContext) OnHttpRequestTrailers(int) types.Action {
	if ctx.request == nil || ctx.refused {
		return types.ActionContinue
	}
	return ctx.endRequest()
}

// endRequest lets the body go on, if it is all right.
func (ctx *httpContext) endRequest() types.Action {
	c := ctx.request
	if c.read > 0 { // else there is no body
		if err := c.end(); err != nil {
			return ctx.refuseBody(err)
		}
	}
	if c.redacted > 0 {
		ctx.count(c)
		if err := proxywasm.ReplaceHttpRequestBody(ctx.left); err != nil {
			proxywasm.LogError("jsonguard: replacing the request's body: " + err.Error())
			return ctx.refuseRequest(500, "its body could not be replaced")
		}
	}
	ctx.request, ctx.left = nil, nil
	return types.ActionContinue
}

func (ctx *httpContext) refuseBody(err error) types.Action {
	if err == errTooLarge {
		return ctx.refuseRequest(413, err.Error())
	}
	return ctx.refuseRequest(400, err.Error())
}

// OnHttpResponseHeaders implements types.HttpContext.
func (ctx *httpContext) OnHttpResponseHeaders(_ int, endOfStream bool) types.Action {
	s := ctx.plugin.config.response
	if s == nil || endOfStream || ctx.refused {
		return types.ActionContinue
	}
	if status, err := proxywasm.GetHttpResponseHeader(":status"); err == nil && status == "206" {
		return ctx.refuseResponse("it is a part of a document")
	}
	status, why, check := s.judge(proxywasm.GetHttpResponseHeader)
	if status != 0 {
		return ctx.refuseResponse(why)
	}
	if !check {
		return types.ActionContinue
	}
	if len(s.pointers) > 0 {
		if err := proxywasm.RemoveHttpResponseHeader("content-length"); err != nil {
			proxywasm.LogError("jsonguard: removing content-length: " + err.Error())
		}
	}
	ctx.response = newChecker(s)
	return types.ActionContinue
}

// OnHttpResponseBody implements types.HttpContext. The headers are with the client by now, so nothing is held: each piece goes on
// when it has been read, without the values that are redacted.
func (ctx *httpContext) OnHttpResponseBody(size int, endOfStream bool) types.Action {
	c := ctx.response
	if c == nil {
		return types.ActionContinue
	}
	if size > 0 {
		piece, err := proxywasm.GetHttpResponseBody(0, size)
		var left []byte
		if err == nil {
			left, err = c.write(piece, nil)
		}
		if err == nil && len(c.side.pointers) > 0 {
			err = proxywasm.ReplaceHttpResponseBody(left)
		}
		if err != nil {
			return ctx.cut(err)
		}
	}
	if endOfStream {
		return ctx.endResponse()
	}
	return types.ActionContinue
}

// OnHttpResponseTrailers implements types.HttpContext.
func (ctx *httpContext) OnHttpResponseTrailers(int) types.Action {
	if ctx.response == nil {
		return types.ActionContinue
	}
	return ctx.endResponse()
}

func (ctx *httpContext) endResponse() types.Action {
	c := ctx.response
	if c.read > 0 {
		if err := c.end(); err != nil {
			return ctx.cut(err)
		}
	}
	ctx.count(c)
	ctx.response = nil
	return types.ActionContinue
}

// count counts the values that were redacted.
func (ctx *httpContext) count(c *checker) {
	for range c.redacted {
		ctx.plugin.metrics.redacted.Increment()
	}
}

// judge tells from a message's headers whether its body must be checked, or the status and reason with which it is refused.
func (s *side) judge(header func(string) (string, error)) (status uint32, why string, check bool) {
	get := func(name string) string {
		value, err := header(name)
		if err != nil {
			return ""
		}
		return value
	}
	length := get("content-length")
	if length == "0" {
		return 0, "", false
	}
	if !isJSON(get("content-type")) {
		if s.otherTypes == deny {
			return 415, "it is not said to be JSON", false
		}
		return 0, "", false
	}
	if encoding := get("content-encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		if s.compressed == deny {
			return 415, "it is compressed", false
		}
		return 0, "", false
	}
	// A length that is no number is Envoy's to refuse, and one that is wrong is found out.
	if n, err := strconv.Atoi(length); err == nil && n > s.maxBytes {
		return 413, errTooLarge.Error(), false
	}
	return 0, "", true
}

// isJSON tells whether a content-type is that of one JSON document.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json") && !strings.Contains(media, ",")
}

var textPlain = [][2]string{{"content-type", "text/plain"}}

// refuseRequest answers in place of the upstream.
func (ctx *httpContext) refuseRequest(status uint32, why string) types.Action {
	ctx.refused, ctx.request, ctx.left = true, nil, nil
	ctx.plugin.metrics.requests.Increment()
	if err := proxywasm.SendHttpResponse(status, textPlain, []byte("jsonguard: the request's body is refused: "+why+"\n"), -1); err != nil {
		proxywasm.LogError("jsonguard: sending response: " + err.Error())
	}
	return types.ActionPause
}

// refuseResponse answers in place of what the upstream has answered, of which nothing has been sent.
func (ctx *httpContext) refuseResponse(why string) types.Action {
	ctx.refused = true
	ctx.plugin.metrics.responses.Increment()
	proxywasm.LogWarn("jsonguard: the upstream's answer is refused: " + why)
	if err := proxywasm.SendHttpResponse(502, textPlain, []byte("jsonguard: the upstream's answer is refused: "+why+"\n"), -1); err != nil {
		proxywasm.LogError("jsonguard: sending response: " + err.Error())
	}
	return types.ActionPause
}

// cut ends a response of which the client has the headers, and maybe a part: all that is left is to break the connection, so that nobody
// takes the part for the whole.
func (ctx *httpContext) cut(why error) types.Action {
	ctx.refused, ctx.response = true, nil
	ctx.plugin.metrics.cut.Increment()
	proxywasm.LogWarn("jsonguard: the upstream's answer is cut: " + why.Error())
	if err := proxywasm.ReplaceHttpResponseBody(nil); err != nil {
		proxywasm.LogError("jsonguard: emptying the response's body: " + err.Error())
	}
	if err := proxywasm.SendHttpResponse(502, nil, nil, -1); err != nil {
		proxywasm.LogError("jsonguard: cutting the response: " + err.Error())
	}
	return types.ActionPause
}
