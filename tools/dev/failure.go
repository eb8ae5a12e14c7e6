package dev

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// callbacks are the methods of the SDK's contexts by what Envoy calls.
var callbacks = map[string]string{
	"proxy_on_vm_start": "OnVMStart", "proxy_on_configure": "OnPluginStart", "proxy_on_tick": "OnTick", "proxy_on_queue_ready": "OnQueueReady",
	"proxy_on_done": "OnPluginDone", "proxy_on_context_create": "NewHttpContext", "proxy_on_log": "OnHttpStreamDone", "proxy_on_delete": "its end",
	"proxy_on_request_headers": "OnHttpRequestHeaders", "proxy_on_request_body": "OnHttpRequestBody", "proxy_on_request_trailers": "OnHttpRequestTrailers",
	"proxy_on_response_headers": "OnHttpResponseHeaders", "proxy_on_response_body": "OnHttpResponseBody", "proxy_on_response_trailers": "OnHttpResponseTrailers",
	"proxy_on_http_call_response": "the callback of DispatchHttpCall",
}

var (
	trapLine  = regexp.MustCompile(`^Function: (\S+) failed: (?:Uncaught RuntimeError: )?([^\n]*)`)
	frameLine = regexp.MustCompile(`(?m)^\s*\d+:\s+0x([0-9a-f]+) - (.+)$`)
)

// trapped says a trap: filter, callback, text, place, and the request that was there.
func (r *recorder) trapped(message string) {
	m := trapLine.FindStringSubmatch(message)
	if m == nil {
		r.say("envoy: error: %s", message)
		return
	}
	r.mu.Lock()
	callback := m[1]
	if name, ok := callbacks[callback]; ok {
		callback = name
	}
	filter, text := "", m[2]
	for name, said := range r.panicked {
		filter, text = name, "panic: "+said
	}
	clear(r.panicked)
	// The newest request that a filter has: one that fails is answered before the next line of the log.
	var x *exchange
	for i := len(r.exchanges) - 1; i >= 0 && x == nil; i-- {
		if in, _ := r.exchanges[i].inside(); in != "" && (filter == "" || in == filter) && !r.exchanges[i].gone {
			x, filter = r.exchanges[i], in
		}
	}
	if filter == "" && len(r.names) == 1 {
		filter = r.names[0]
	}
	var places []string
	if filter == r.filter || filter == "" { // only this one has them
		places = r.placesOf(message)
	}
	lines := []string{fmt.Sprintf("%s: trap in %s: %s", orUnknown(filter), callback, text)}
	for i, place := range places {
		lines = append(lines, map[bool]string{true: "  at ", false: "  called at "}[i == 0]+place)
	}
	if x != nil {
		lines = append(lines, "  request: "+x.name())
		x.Failure = append(x.Failure, lines...)
	}
	r.mu.Unlock()
	r.say("%s", strings.Join(lines, "\n"))
}

func orUnknown(filter string) string {
	if filter == "" {
		return "a filter"
	}
	return filter
}

const keptFrames = 6

// placesOf are function, file and line of the frames that the author wrote, the innermost first. What is inlined has its own line and
// the name of the function around it, so an exported callback of the SDK is not named.
func (r *recorder) placesOf(message string) (places []string) {
	for _, m := range frameLine.FindAllStringSubmatch(message, -1) {
		offset, err := strconv.ParseUint(m[1], 16, 64)
		function := strings.TrimSpace(m[2])
		if err != nil {
			continue
		}
		if r.places == nil {
			places = append(places, function)
			continue
		}
		for _, place := range r.places.At(offset) {
			i := strings.LastIndex(place.File, "filters/")
			if i < 0 {
				continue // the SDK's, or the standard library's
			}
			text := fmt.Sprintf("%s:%d", place.File[i:], place.Line)
			if place.Start {
				text = "somewhere in the function that begins at " + text
			}
			if _, exported := callbacks[function]; !exported {
				text += " (" + function + ")"
			}
			places = append(places, text)
		}
	}
	if n := len(places); n > keptFrames {
		places = append(places[:keptFrames], fmt.Sprintf("%d more", n-keptFrames))
	}
	return places
}

// waiting says which requests a filter keeps for long, and whether it is a callback that does not return: then Envoy's watchdog has
// counted more than before. Active is how many requests Envoy has.
func (r *recorder) waiting(now time.Time, missed, active int) {
	r.mu.Lock()
	var lines []string
	say := func(x *exchange, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if x != nil {
			x.warned = true
			x.Failure = append(x.Failure, text)
		}
		lines = append(lines, text)
	}
	if missed > r.missed && r.hangs == "" {
		// A worker has been silent for WorkerHangs, so what hangs is as old; of several, one of which nothing was said yet, and the newest.
		var hung *exchange
		for _, x := range r.exchanges {
			if filter, _ := x.inside(); filter != "" && !x.gone && now.Sub(x.Began) > envoy.WorkerHangs-time.Second && (hung == nil || hung.warned || !x.warned) {
				hung = x
			}
		}
		r.unknown++
		switch {
		case hung != nil:
			filter, out := hung.inside()
			callback, _ := callbacksOf(out)
			r.hangs, r.missed = filter, missed
			say(hung, "%s: %s hangs: %s does not return, and its worker serves nobody any more. the next version that builds gets another Envoy", filter, hung.name(), callback)
		case r.unknown > 2:
			r.hangs, r.missed = "a filter", missed
			say(nil, "a worker of Envoy hangs: a callback does not return, and it is none of headers. the next version that builds gets another Envoy")
		}
	}
	for _, x := range r.exchanges {
		filter, out := x.inside()
		switch {
		case filter == "" || x.gone || x.warned || now.Sub(x.Began) < waitsLong:
		case active == 0:
			x.gone = true // its client did not wait
		default:
			callback, body := callbacksOf(out)
			say(x, "%s: %s waits in this filter for %.0f s. %s returned ActionPause, and nothing has resumed it; after ActionPause there, %s is not called",
				filter, x.name(), now.Sub(x.Began).Seconds(), callback, body)
		}
	}
	r.mu.Unlock()
	for _, line := range lines {
		r.say("%s", line)
	}
	if len(lines) > 0 {
		r.publish(event{Kind: "exchange"})
	}
}

func callbacksOf(out bool) (headers, body string) {
	if out {
		return "OnHttpResponseHeaders", "OnHttpResponseBody"
	}
	return "OnHttpRequestHeaders", "OnHttpRequestBody"
}
