package main

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// maxHeld is how many requests of a worker may wait at a time. Those beyond are denied: a proxy's memory is not for them.
const maxHeld = 256

// A held request waits for a token that is expected, for at most the timeout of the fetch.
type held struct {
	id           uint32 // of its context
	since, until instant
}

// hold keeps the request back, if it is worth it.
func (p *pluginContext) hold(id uint32) bool {
	if !p.fetcher.isExpected() || len(p.held) == maxHeld {
		return false
	}
	now := p.vm.now()
	p.held = append(p.held, held{id, now, now.add(p.config.request.timeout)})
	p.pace()
	return true
}

// release lets held requests go on, each with the token; or denies them, when the fetch has failed or their time is over.
func (p *pluginContext) release() {
	if len(p.held) == 0 {
		return
	}
	token, ok := p.fetcher.token()
	now, rest := p.vm.now(), p.held[:0]
	for _, h := range p.held {
		isOver := now >= h.until || now.add(clockSlack) < h.since || !p.fetcher.isExpected()
		if !ok && !isOver {
			rest = append(rest, h)
			continue
		}
		if proxywasm.SetEffectiveContext(h.id) != nil {
			continue // the client has gone
		}
		if !ok || !p.put(token) {
			p.deny()
		} else if err := proxywasm.ResumeHttpRequest(); err != nil {
			proxywasm.LogError(p.metrics.where + "resuming request: " + err.Error())
		}
	}
	p.held = rest
	if err := proxywasm.SetEffectiveContext(p.id); err != nil {
		proxywasm.LogError(p.metrics.where + "coming back from a held request: " + err.Error())
	}
}
