package main

import (
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
	http httpContext
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	data, err := pluginconfig.Load()
	if err == nil {
		p.http.config, err = parseConfig(data)
	}
	if err != nil {
		proxywasm.LogCritical("apikey: parsing plugin configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	p.http.start(metric.Object())
	return types.OnPluginStartStatusOK
}

// NewHttpContext implements types.PluginContext. A stream has no state of its own: all share one context, and none is allocated.
func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { return &p.http }

// httpContext implements types.HttpContext.
type httpContext struct {
	// Embed the default http context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultHttpContext
	config    config
	known     []knownKey
	spellings []string // of the consumer's header
	missing   refusal
	unknown   refusal
	broken    refusal
}

// start prepares what does not change from one request to the next.
func (ctx *httpContext) start(object string) {
	c := &ctx.config
	ctx.known = c.hashes()
	ctx.spellings = spellings(c.consumerHeader)
	name := metric.Prefix(object, "apikey")
	ctx.missing = newRefusal(name+"denied.missing.total", 401, `this request needs a key in the header "`+c.header+`"`, c.header)
	ctx.unknown = newRefusal(name+"denied.unknown.total", 401, `the key in the header "`+c.header+`" is not known`, c.header)
	ctx.broken = newRefusal(name+"denied.broken.total", 503, "this request could not be prepared for the upstream", "")
}

// OnHttpRequestHeaders implements types.HttpContext.
func (ctx *httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	key, err := proxywasm.GetHttpRequestHeader(ctx.config.header)
	if err != nil {
		key = ""
	}
	// Before anything is decided, and whatever that is: neither the key nor what a client says to be reaches the upstream.
	if err := ctx.remove(proxywasm.RemoveHttpRequestHeader); err != nil {
		proxywasm.LogError("apikey: removing request header: " + err.Error())
		return ctx.broken.send()
	}
	// A key that is there counts on an open path, too, so that the upstream knows the consumer; but there it need not be right.
	if consumer, ok := whose(ctx.known, key); ok {
		if err := proxywasm.AddHttpRequestHeader(ctx.config.consumerHeader, consumer); err != nil {
			proxywasm.LogError("apikey: setting request header: " + err.Error())
			return ctx.broken.send()
		}
		return types.ActionContinue
	}
	if len(ctx.config.open) > 0 {
		if path, err := proxywasm.GetHttpRequestHeader(":path"); err == nil && ctx.config.isOpen(path) {
			return types.ActionContinue
		}
	}
	if key == "" {
		return ctx.missing.send()
	}
	return ctx.unknown.send()
}

// OnHttpRequestTrailers implements types.HttpContext. A header that comes late is still a header to some upstreams.
func (ctx *httpContext) OnHttpRequestTrailers(int) types.Action {
	if err := ctx.remove(proxywasm.RemoveHttpRequestTrailer); err != nil {
		proxywasm.LogError("apikey: removing request trailer: " + err.Error())
	}
	return types.ActionContinue
}

// remove removes the key and the consumer, in every spelling of it.
func (ctx *httpContext) remove(from func(string) error) error {
	err := from(ctx.config.header)
	for _, name := range ctx.spellings {
		if e := from(name); e != nil {
			err = e
		}
	}
	return err
}

// A refusal is an answer in place of the upstream's.
type refusal struct {
	metric  string // kept, as the emulator of the SDK's tests refers to the guest's own bytes
	count   metric.Counter
	status  uint32
	headers [][2]string
	body    []byte
}

// newRefusal is an answer that asks for a key in the header, if there is one.
func newRefusal(name string, status uint32, text, header string) refusal {
	r := refusal{metric: name, count: metric.NewCounter(name), status: status, body: []byte("apikey: " + text + "\n")}
	r.headers = [][2]string{{"content-type", "text/plain"}, {"cache-control", "no-store"}}
	if header != "" {
		r.headers = append(r.headers, [2]string{"www-authenticate", `ApiKey header="` + header + `"`})
	}
	return r
}

func (r *refusal) send() types.Action {
	r.count.Increment()
	if err := proxywasm.SendHttpResponse(r.status, r.headers, r.body, -1); err != nil {
		proxywasm.LogError("apikey: sending response: " + err.Error())
	}
	return types.ActionPause
}
