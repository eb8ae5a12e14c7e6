package dev

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
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
		if in, _ := r.exchanges[i].inside(); in != "" && (filter == "" || in == filter) && !r.exchanges[i].warned {
			x, filter = r.exchanges[i], in
		}
	}
	if filter == "" && len(r.names) == 1 {
		filter = r.names[0]
	}
	var places []string
	if filter == r.filter || filter == "" {
		places = r.placesOf(message)
	}
	lines := []string{fmt.Sprintf("%s: trap in %s: %s", orUnknown(filter), callback, text)}
	for i, place := range places {
		lines = append(lines, map[bool]string{true: "  at ", false: "  called by "}[i == 0]+place)
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

// placesOf are function, file and line of the frames that the author wrote, the innermost first.
func (r *recorder) placesOf(message string) (places []string) {
	for _, m := range frameLine.FindAllStringSubmatch(message, -1) {
		offset, err := strconv.ParseUint(m[1], 16, 64)
		function := strings.TrimSpace(m[2])
		if err != nil || r.places == nil {
			places = append(places, function)
			continue
		}
		file, line, ok := r.places.At(offset)
		if !ok {
			continue
		}
		if strings.Contains(file, "/filters/") || strings.HasPrefix(file, "filters/") {
			places = append(places, fmt.Sprintf("%s (%s:%d)", function, file[strings.Index(file, "filters/"):], line))
		}
	}
	return places
}

// waiting says which requests a filter keeps for long, and whether it is a callback that does not return: then Envoy's watchdog has
// counted more than before.
func (r *recorder) waiting(now time.Time, missed int) {
	r.mu.Lock()
	hangs := missed > r.missed
	var lines []string
	for _, x := range r.exchanges {
		filter, out := x.inside()
		if x.warned || filter == "" || now.Sub(x.Began) < waitsLong {
			continue
		}
		x.warned = true
		way, headersOf, body := "request", "OnHttpRequestHeaders", "OnHttpRequestBody"
		if out {
			way, headersOf, body = "response", "OnHttpResponseHeaders", "OnHttpResponseBody"
		}
		text := fmt.Sprintf("%s: %s waits: the %s is in this filter for %.0f s. %s returned ActionPause, and nothing has resumed it; after ActionPause there %s is not called",
			filter, x.name(), way, now.Sub(x.Began).Seconds(), headersOf, body)
		if hangs {
			r.hangs = filter
			text = fmt.Sprintf("%s: %s hangs: %s does not return, and its worker serves nobody any more. the next version that builds gets another Envoy", filter, x.name(), headersOf)
		}
		x.Failure = append(x.Failure, text)
		lines = append(lines, text)
	}
	if len(lines) > 0 {
		r.missed = missed
	}
	r.mu.Unlock()
	for _, line := range lines {
		r.say("%s", line)
	}
}
