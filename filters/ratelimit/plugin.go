package main

import (
	"strconv"
	"time"

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
	now    func() instant
	random func() uint64
}

func newVMContext() *vmContext {
	return &vmContext{now: func() instant { return instant(time.Now().UnixNano()) }, random: randomNumber}
}

// NewPluginContext implements types.VMContext.
func (v *vmContext) NewPluginContext(uint32) types.PluginContext {
	return &pluginContext{http: httpContext{now: v.now}, random: v.random}
}

// pluginContext implements types.PluginContext.
type pluginContext struct {
	// Embed the default plugin context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultPluginContext
	http   httpContext
	random func() uint64
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	data, err := pluginconfig.Load()
	if err == nil {
		p.http.config, err = parseConfig(data)
	}
	if err != nil {
		proxywasm.LogCritical("ratelimit: parsing plugin configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	object := metric.Object()
	if p.http.table, err = newShared(object, p.http.config.sets(), p.random); err != nil {
		proxywasm.LogCritical("ratelimit: creating shared data: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	p.http.metrics.define(metric.Prefix(object, "ratelimit"))
	return types.OnPluginStartStatusOK
}

// NewHttpContext implements types.PluginContext. A stream has no state of its own: all share one context, and none is allocated.
func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { return &p.http }

// httpContext implements types.HttpContext.
type httpContext struct {
	// Embed the default http context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultHttpContext
	config  config
	table   *shared
	now     func() instant
	metrics metrics
}

// OnHttpRequestHeaders implements types.HttpContext.
func (ctx *httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	wait, crowded, err := ctx.table.take(ctx.config.limit, ctx.client(), ctx.now())
	if err != nil {
		// A limit is no reason to take the service down.
		ctx.metrics.failed.Increment()
		proxywasm.LogError("ratelimit: taking a token: " + err.Error())
		return types.ActionContinue
	}
	if crowded {
		ctx.metrics.crowded.Increment()
	}
	if wait > 0 {
		return ctx.refuse(wait)
	}
	return types.ActionContinue
}

// client is whose limit the request counts for. All requests without the header, or without an address, are one client's.
func (ctx *httpContext) client() string {
	if ctx.config.client.header != "" {
		value, err := proxywasm.GetHttpRequestHeader(ctx.config.client.header)
		if err != nil {
			return ""
		}
		return "=" + value // which an absent one never is
	}
	address, err := proxywasm.GetProperty([]string{"source", "address"})
	if err != nil {
		return ""
	}
	return clientOf(string(address))
}

// refuse answers in place of the upstream.
func (ctx *httpContext) refuse(wait instant) types.Action {
	ctx.metrics.limited.Increment()
	// Whole seconds, rounded up: who comes back then finds a token.
	seconds := strconv.FormatInt((int64(wait)+int64(time.Second)-1)/int64(time.Second), 10)
	headers := [][2]string{{"content-type", "text/plain"}, {"retry-after", seconds}}
	body := []byte("ratelimit: too many requests. try again in " + seconds + " s\n")
	if err := proxywasm.SendHttpResponse(429, headers, body, -1); err != nil {
		proxywasm.LogError("ratelimit: sending response: " + err.Error())
	}
	return types.ActionPause
}

// metrics are the statistics of one object.
type metrics struct {
	limited metric.Counter // ratelimit_limited_total in Prometheus
	crowded metric.Counter // ratelimit_crowded_total
	failed  metric.Counter // ratelimit_failed_total
	names   []string       // kept, as the emulator of the SDK's tests refers to the guest's own bytes
}

func (m *metrics) define(prefix string) {
	m.names = []string{prefix + "limited.total", prefix + "crowded.total", prefix + "failed.total"}
	m.limited, m.crowded, m.failed = metric.NewCounter(m.names[0]), metric.NewCounter(m.names[1]), metric.NewCounter(m.names[2])
}
