package main

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/metric"
	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

const (
	// firstTick is soon after the start: a callout is not allowed earlier.
	firstTick = 10 // ms
	// tickPeriod is how late a fetch may be. A tick without anything due costs one look at the clock.
	tickPeriod = 250 // ms
	// busyPeriod is the same while requests wait for a token that another worker may bring, or the worker fetches.
	busyPeriod = 25 // ms
)

// vmContext implements types.VMContext.
type vmContext struct {
	// Embed the default VM context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultVMContext
	now    func() instant
	random func() uint32
	local  map[string]*localStore // by key: a plugin that is replaced leaves its token to the next
}

func newVMContext() *vmContext {
	now := func() instant { return instant(time.Now().UnixMilli()) }
	return &vmContext{local: map[string]*localStore{}, now: now, random: newRandom(uint64(time.Now().UnixNano()))}
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
func (v *vmContext) NewPluginContext(id uint32) types.PluginContext {
	return &pluginContext{vm: v, id: id}
}

// localStore is the store of this VM for a key.
func (v *vmContext) localStore(key string, first record) *localStore {
	s := v.local[key]
	if s == nil {
		s = &localStore{first.encode()}
		v.local[key] = s
	}
	return s
}

// pluginContext implements types.PluginContext.
type pluginContext struct {
	// Embed the default plugin context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultPluginContext
	vm      *vmContext
	id      uint32
	config  config
	metrics *metrics
	fetcher *fetcher
	period  uint32 // between ticks
	held    []held

	cluster string // that of the last request, and what was found about it
	verdict verdict
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
	key, first := p.config.recordKey(), newRecord(&p.config, p.vm.now(), p.vm.random())
	var tokens store
	if p.config.share {
		if tokens, err = newSharedStore(key, first); err != nil {
			proxywasm.LogCritical("jwtfetch: creating shared data: " + err.Error() + `. "share": false does without`)
			return types.OnPluginStartStatusFailed
		}
	} else {
		tokens = p.vm.localStore(key, first)
	}
	p.metrics = newMetrics(metric.Object(), p.config.upstream.cluster)
	send := callout(&p.config)
	p.fetcher = &fetcher{
		config: &p.config,
		store:  tokens,
		now:    p.vm.now,
		random: p.vm.random,
		send: func(answered func(answer)) *failure {
			return send(func(a answer) {
				answered(a)
				p.release()
				p.pace()
			})
		},
		log: p.metrics,
	}
	p.metrics.has(token{}, 0) // so that an alert sees the object before its first token
	p.fetcher.load()
	p.setPeriod(firstTick)
	return types.OnPluginStartStatusOK
}

// OnTick implements types.PluginContext.
func (p *pluginContext) OnTick() {
	p.fetcher.tick()
	p.release()
	p.pace()
}

// pace ticks faster while somebody waits.
func (p *pluginContext) pace() {
	if p.fetcher.inFlight || len(p.held) > 0 {
		p.setPeriod(busyPeriod)
	} else {
		p.setPeriod(tickPeriod)
	}
}

func (p *pluginContext) setPeriod(milliseconds uint32) {
	if p.period == milliseconds {
		return
	}
	p.period = milliseconds
	if err := proxywasm.SetTickPeriodMilliSeconds(milliseconds); err != nil {
		proxywasm.LogError(p.metrics.where + "setting tick period: " + err.Error())
	}
}

// NewHttpContext implements types.PluginContext.
func (p *pluginContext) NewHttpContext(id uint32) types.HttpContext {
	return &httpContext{plugin: p, id: id}
}

// httpContext implements types.HttpContext.
type httpContext struct {
	// Embed the default http context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultHttpContext
	plugin  *pluginContext
	id      uint32
	inScope bool
}

// OnHttpRequestHeaders implements types.HttpContext.
func (ctx *httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	p := ctx.plugin
	if ctx.inScope = p.inScope(); !ctx.inScope {
		return types.ActionContinue
	}
	// First of all, and whatever follows: what the client sent in this header must not reach the upstream.
	if err := proxywasm.RemoveHttpRequestHeader(p.config.header); err != nil {
		proxywasm.LogError(p.metrics.where + "removing request header: " + err.Error())
		return p.deny()
	}
	if token, ok := p.fetcher.token(); ok && p.put(token) || p.config.onMissing == pass {
		return types.ActionContinue
	}
	if p.hold(ctx.id) {
		return types.ActionPause
	}
	return p.deny()
}

// inScope tells whether the request may have the token, by the cluster that the proxy has chosen for it: the client chooses only
// what it calls the host.
func (p *pluginContext) inScope() bool {
	cluster, err := proxywasm.GetProperty([]string{"xds", "cluster_name"})
	if err != nil {
		return false // no route
	}
	if string(cluster) != p.cluster {
		p.cluster = string(cluster)
		p.verdict = p.config.judge(p.cluster)
	}
	if p.verdict == byAuthority {
		authority, err := proxywasm.GetHttpRequestHeader(":authority")
		if err != nil || !p.config.covers(p.cluster, authority) {
			return false
		}
	}
	if p.verdict == outside || len(p.config.paths) == 0 {
		return p.verdict != outside
	}
	path, err := proxywasm.GetHttpRequestHeader(":path")
	return err == nil && p.config.hasPath(path)
}

// put puts the token on the request.
func (p *pluginContext) put(token string) bool {
	err := proxywasm.AddHttpRequestHeader(p.config.header, p.config.prefix+token)
	if err != nil {
		proxywasm.LogError(p.metrics.where + "adding request header: " + err.Error())
	}
	return err == nil
}

// OnHttpRequestTrailers implements types.HttpContext. A header that comes late is still a header to some upstreams.
func (ctx *httpContext) OnHttpRequestTrailers(int) types.Action {
	if !ctx.inScope {
		return types.ActionContinue
	}
	if err := proxywasm.RemoveHttpRequestTrailer(ctx.plugin.config.header); err != nil {
		proxywasm.LogError(ctx.plugin.metrics.where + "removing request trailer: " + err.Error())
	}
	return types.ActionContinue
}

// OnHttpResponseHeaders implements types.HttpContext. The token goes to clients only where the configuration says so.
func (ctx *httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	p := ctx.plugin
	if !ctx.inScope || p.config.expose.header == "" {
		return types.ActionContinue
	}
	if token, ok := p.fetcher.token(); ok {
		if err := proxywasm.ReplaceHttpResponseHeader(p.config.expose.header, p.config.expose.prefix+token); err != nil {
			proxywasm.LogError(p.metrics.where + "setting response header: " + err.Error())
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
		proxywasm.LogError(p.metrics.where + "sending response: " + err.Error())
	}
	return types.ActionPause
}
