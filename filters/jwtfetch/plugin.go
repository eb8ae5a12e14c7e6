package main

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

const (
	// firstTick is soon after the start: a callout is not allowed earlier.
	firstTick = 10 // ms
	// tickPeriod is how late a fetch may be. A tick without anything due costs one look at the clock.
	tickPeriod = 250 // ms
)

// vmContext implements types.VMContext.
type vmContext struct {
	// Embed the default VM context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultVMContext
	now    func() instant
	random func() uint32
}

func newVMContext() *vmContext {
	now := func() instant { return instant(time.Now().UnixMilli()) }
	return &vmContext{now: now, random: newRandom(uint64(time.Now().UnixNano()))}
}

// newRandom returns a generator (splitmix64) that is good enough to keep proxies apart. math/rand is larger and not better
// seeded here.
func newRandom(seed uint64) func() uint32 {
	return func() uint32 {
		seed += 0x9e3779b97f4a7c15
		z := (seed ^ seed>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return uint32(z >> 32)
	}
}

// NewPluginContext implements types.VMContext.
func (v *vmContext) NewPluginContext(uint32) types.PluginContext { return &pluginContext{vm: v} }

// pluginContext implements types.PluginContext.
type pluginContext struct {
	// Embed the default plugin context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultPluginContext
	vm        *vmContext
	config    config
	metrics   *metrics
	fetcher   *fetcher
	hasTicked bool
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	data, err := pluginconfig.Load()
	if err == nil {
		p.config, err = parseConfig(data)
	}
	if err != nil {
		proxywasm.LogCritical("jwtfetch: parsing plugin configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	var tokens store = &localStore{}
	if p.config.share {
		if tokens, err = newSharedStore(data); err != nil {
			proxywasm.LogCritical("jwtfetch: creating shared data: " + err.Error() + `. "share": false does without`)
			return types.OnPluginStartStatusFailed
		}
	}
	p.metrics = newMetrics()
	p.fetcher = &fetcher{
		config: &p.config,
		store:  tokens,
		now:    p.vm.now,
		random: p.vm.random,
		send:   callout(&p.config),
		log:    p.metrics,
	}
	if err := proxywasm.SetTickPeriodMilliSeconds(firstTick); err != nil {
		proxywasm.LogCritical("jwtfetch: setting tick period: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// OnTick implements types.PluginContext.
func (p *pluginContext) OnTick() {
	if !p.hasTicked {
		p.hasTicked = true
		if err := proxywasm.SetTickPeriodMilliSeconds(tickPeriod); err != nil {
			proxywasm.LogError("jwtfetch: setting tick period: " + err.Error())
		}
	}
	p.fetcher.tick()
}

// NewHttpContext implements types.PluginContext.
func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { return &httpContext{plugin: p} }

// httpContext implements types.HttpContext.
type httpContext struct {
	// Embed the default http context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultHttpContext
	plugin *pluginContext
}

// OnHttpRequestHeaders implements types.HttpContext.
func (ctx *httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	p := ctx.plugin
	// First of all, and whatever follows: what the client sent in this header must not reach the upstream.
	if err := proxywasm.RemoveHttpRequestHeader(p.config.header); err != nil {
		proxywasm.LogError("jwtfetch: removing request header: " + err.Error())
		return p.deny()
	}
	if token, ok := p.fetcher.token(); ok {
		err := proxywasm.AddHttpRequestHeader(p.config.header, p.config.prefix+token)
		if err == nil {
			return types.ActionContinue
		}
		proxywasm.LogError("jwtfetch: adding request header: " + err.Error())
	}
	if p.config.onMissing == pass {
		return types.ActionContinue
	}
	return p.deny()
}

// OnHttpRequestTrailers implements types.HttpContext. A header that comes late is still a header to some upstreams.
func (ctx *httpContext) OnHttpRequestTrailers(int) types.Action {
	if err := proxywasm.RemoveHttpRequestTrailer(ctx.plugin.config.header); err != nil {
		proxywasm.LogError("jwtfetch: removing request trailer: " + err.Error())
	}
	return types.ActionContinue
}

// OnHttpResponseHeaders implements types.HttpContext. The token goes to clients only where the configuration says so.
func (ctx *httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	expose := ctx.plugin.config.expose
	if expose.header == "" {
		return types.ActionContinue
	}
	if token, ok := ctx.plugin.fetcher.token(); ok {
		if err := proxywasm.ReplaceHttpResponseHeader(expose.header, expose.prefix+token); err != nil {
			proxywasm.LogError("jwtfetch: setting response header: " + err.Error())
		}
	}
	return types.ActionContinue
}

var (
	denialHeaders = [][2]string{{"content-type", "text/plain"}}
	denialBody    = []byte("jwtfetch: there is no valid token for this request\n")
)

// deny answers in place of the upstream.
func (p *pluginContext) deny() types.Action {
	p.metrics.denied.Increment()
	if err := proxywasm.SendHttpResponse(503, denialHeaders, denialBody, -1); err != nil {
		proxywasm.LogError("jwtfetch: sending response: " + err.Error())
	}
	return types.ActionPause
}
