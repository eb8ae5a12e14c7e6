package dev

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

const (
	keptExchanges = 50
	keptLines     = 300
	// A filter may wait for a callout, but seldom so long.
	waitsLong = envoy.WorkerHangs + time.Second
)

// event is what the page is told.
type event struct {
	Kind string `json:"kind"` // log, state or exchange
	Text string `json:"text,omitempty"`
}

// headers are those that passed one place of the chain.
type headers map[string][]string

// exchange is a request and what the taps saw of it.
type exchange struct {
	ID      string
	Began   time.Time
	Chain   []string        // the filters, in order, when it came
	In, Out map[int]headers // by place: 0 is before the first filter
	Said    []string        // by the filters, while it was out
	Failure []string

	warned bool // that it waits
	gone   bool // nobody waits for it any more
}

// inside is the filter that the request, or its response, was given and has not passed on; empty when it is nobody's.
func (x *exchange) inside() (filter string, out bool) {
	if _, done := x.Out[0]; done || len(x.In) == 0 {
		return "", false
	}
	n := len(x.Chain)
	if len(x.Out) > 0 {
		least := slices.Min(slices.Collect(maps.Keys(x.Out)))
		return x.Chain[least-1], true
	}
	if furthest := slices.Max(slices.Collect(maps.Keys(x.In))); furthest < n {
		return x.Chain[furthest], false
	}
	return "", false // the upstream has it
}

func (x *exchange) name() string {
	h := x.In[0]
	return strings.Join(h[":method"], "") + " " + strings.Join(h[":path"], "")
}

// recorder reads Envoy's log: what passes between the filters, what they say and where they fail.
type recorder struct {
	filter string // the one that is written
	say    func(format string, args ...any)

	mu        sync.Mutex
	names     []string // the chain in service
	exchanges []*exchange
	lines     []string
	places    *wasmfile.Places // of the module in service, as far as it has some
	panicked  map[string]string
	missed    int    // what Envoy's watchdog had counted when we looked last
	unknown   int    // how often it had counted more, and no request was known
	hangs     string // the filter in which a worker hangs
	listeners map[chan event]bool
}

func newRecorder(filter string) *recorder {
	return &recorder{filter: filter, panicked: map[string]string{}, listeners: map[chan event]bool{}}
}

func (r *recorder) chain(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = names
}

func (r *recorder) serves(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.names, name)
}

// built takes the places of another module.
func (r *recorder) built(module []byte) {
	places, err := wasmfile.ReadPlaces(module)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places = places
	if err != nil {
		r.places = nil // a module of another compiler: its traps have names at best
	}
}

func (r *recorder) restarted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangs, r.missed, r.unknown = "", 0, 0
	for _, x := range r.exchanges {
		x.gone = true
	}
}

func (r *recorder) hanging() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hangs
}

// log is called for each entry, one at a time.
func (r *recorder) log(e envoy.LogEntry) {
	if tap, ok := sandbox.ParseTap(e); ok {
		r.passed(tap)
		return
	}
	switch {
	case e.Logger != "wasm" && e.Logger != "":
		if e.AtLeast("error") {
			r.say("envoy: %s: %s", e.Level, e.Message)
		}
	case e.Plugin != "":
		r.spoke(e)
	case e.AtLeast("error") && strings.HasPrefix(e.Message, "Function: "):
		r.trapped(e.Message)
	case e.AtLeast("warning"):
		r.say("envoy: %s: %s", e.Level, e.Message)
	}
}

func (r *recorder) passed(t sandbox.Tap) {
	r.mu.Lock()
	var x *exchange
	for _, known := range r.exchanges {
		if known.ID == t.Request {
			x = known
		}
	}
	if x == nil || t.Place == 0 && !t.Out {
		x = &exchange{ID: t.Request, Began: time.Now(), Chain: slices.Clone(r.names), In: map[int]headers{}, Out: map[int]headers{}}
		r.exchanges = append(r.exchanges, x)
		if len(r.exchanges) > keptExchanges {
			r.exchanges = r.exchanges[1:]
		}
	}
	if t.Out {
		x.Out[t.Place] = t.Headers
	} else {
		x.In[t.Place] = t.Headers
	}
	done := t.Out && t.Place == 0
	r.mu.Unlock()
	if done {
		r.publish(event{Kind: "exchange"})
	}
}

func (r *recorder) spoke(e envoy.LogEntry) {
	name := e.Plugin
	if i := strings.LastIndex(name, "."); i >= 0 {
		name = name[i+1:]
	}
	message := strings.TrimPrefix(strings.TrimSpace(e.Message), name+": ")
	if text, ok := strings.CutPrefix(message, "panic: "); ok {
		r.mu.Lock()
		r.panicked[name] = text
		r.mu.Unlock()
		return // the trap that follows says it, with its place
	}
	line := name + ": " + e.Level + ": " + message
	r.mu.Lock()
	if n := len(r.exchanges); n > 0 {
		if x := r.exchanges[n-1]; x.Out[0] == nil {
			x.Said = append(x.Said, line)
		}
	}
	r.mu.Unlock()
	r.say("%s", line)
}

// subscribe gives what is published from now on.
func (r *recorder) subscribe() (events chan event, stop func()) {
	events = make(chan event, 64)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners[events] = true
	return events, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.listeners, events)
	}
}

func (r *recorder) publish(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Kind == "log" {
		r.lines = append(r.lines, e.Text)
		if len(r.lines) > keptLines {
			r.lines = r.lines[1:]
		}
	}
	for l := range r.listeners {
		select {
		case l <- e:
		default: // a page that does not read has the state when it asks for it
		}
	}
}
