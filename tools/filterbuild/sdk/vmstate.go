//go:build ignore

// Package internal is the SDK's: this file takes the place of its vmstate.go when a filter is built. There, each context is in two
// or three maps, which cost more than all else that the SDK does for a request. Here it is a row of one table.
package internal

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

type pluginContextState struct {
	context       types.PluginContext
	httpCallbacks map[uint32]*httpCallbackAttribute
}

type httpCallbackAttribute struct {
	callback        func(numHeaders, bodySize, numTrailers int)
	callerContextID uint32
}

// state is the contexts of a VM. The callbacks of the SDK read what was a map, such as httpContexts, by a method of that name, and
// delete from it by another.
type state struct {
	vmContext       types.VMContext
	contexts        table
	activeContextID uint32
}

var currentState = &state{contexts: table{rows: make([]row, 16)}}

// SetVMContext is called once, by init.
func SetVMContext(c types.VMContext) { currentState.vmContext = c }

// RegisterHttpCallout keeps what to call when the answer comes.
func RegisterHttpCallout(id uint32, callback func(numHeaders, bodySize, numTrailers int)) {
	caller := currentState.activeContextID
	root, _ := currentState.contextIDToRootID(caller)
	plugin, _ := currentState.pluginContexts(root)
	plugin.httpCallbacks[id] = &httpCallbackAttribute{callback, caller}
}

func (s *state) setActiveContextID(id uint32) { s.activeContextID = id }

func (s *state) createPluginContext(id uint32) {
	p := &pluginContextState{s.vmContext.NewPluginContext(id), map[uint32]*httpCallbackAttribute{}}
	r := s.contexts.put(id)
	r.plugin = p
	r.setRoot(id) // it may make callouts, too
}

func (s *state) createHttpContext(id, plugin uint32) bool {
	p := s.plugin(plugin)
	if _, twice := s.httpContexts(id); twice {
		panic("context id duplicated")
	}
	c := p.NewHttpContext(id)
	if c == nil {
		return false
	}
	r := s.contexts.put(id)
	r.setRoot(plugin)
	r.http = c
	return true
}

func (s *state) createTcpContext(id, plugin uint32) bool {
	p := s.plugin(plugin)
	if _, twice := s.tcpContexts(id); twice {
		panic("context id duplicated")
	}
	c := p.NewTcpContext(id)
	if c == nil {
		return false
	}
	r := s.contexts.put(id)
	r.setRoot(plugin)
	r.tcp = c
	return true
}

func (s *state) plugin(id uint32) types.PluginContext {
	p, ok := s.pluginContexts(id)
	if !ok {
		panic("invalid plugin context id")
	}
	return p.context
}

func (s *state) pluginContexts(id uint32) (*pluginContextState, bool) {
	if r := s.contexts.find(id); r != nil {
		return r.plugin, r.plugin != nil
	}
	return nil, false
}

func (s *state) httpContexts(id uint32) (types.HttpContext, bool) {
	if r := s.contexts.find(id); r != nil {
		return r.http, r.http != nil
	}
	return nil, false
}

func (s *state) tcpContexts(id uint32) (types.TcpContext, bool) {
	if r := s.contexts.find(id); r != nil {
		return r.tcp, r.tcp != nil
	}
	return nil, false
}

func (s *state) contextIDToRootID(id uint32) (uint32, bool) {
	if r := s.contexts.find(id); r != nil {
		return r.root, r.hasRoot
	}
	return 0, false
}

func (s *state) deletePluginContexts(id uint32) {
	if r := s.contexts.find(id); r != nil {
		r.plugin = nil
		s.contexts.tidy(r)
	}
}

func (s *state) deleteHttpContexts(id uint32) {
	if r := s.contexts.find(id); r != nil {
		r.http = nil
		s.contexts.tidy(r)
	}
}

func (s *state) deleteTcpContexts(id uint32) {
	if r := s.contexts.find(id); r != nil {
		r.tcp = nil
		s.contexts.tidy(r)
	}
}

func (s *state) deleteContextIDToRootID(id uint32) {
	if r := s.contexts.find(id); r != nil {
		r.root, r.hasRoot = 0, false
		s.contexts.tidy(r)
	}
}

// row is what is known of one context.
type row struct {
	id, root uint32
	used     bool
	hasRoot  bool
	plugin   *pluginContextState
	http     types.HttpContext
	tcp      types.TcpContext
}

func (r *row) setRoot(id uint32) { r.root, r.hasRoot = id, true }

// table finds rows by id: a row is in the place of its id, or in the next free one. Envoy counts ids up, so it nearly always is
// where it belongs. At most half of the places are taken, and their number is a power of two.
type table struct {
	rows []row
	used int
}

func (t *table) find(id uint32) *row {
	mask := uint32(len(t.rows) - 1)
	for i := id & mask; ; i = (i + 1) & mask {
		r := &t.rows[i]
		if r.id == id && r.used {
			return r
		}
		if !r.used {
			return nil
		}
	}
}

// put is the row of id, a new one where there is none.
func (t *table) put(id uint32) *row {
	if r := t.find(id); r != nil {
		return r
	}
	if t.used++; 2*t.used > len(t.rows) {
		old := t.rows
		t.rows = make([]row, 2*len(old))
		for _, r := range old {
			if r.used {
				*t.free(r.id) = r
			}
		}
	}
	r := t.free(id)
	r.id, r.used = id, true
	return r
}

func (t *table) free(id uint32) *row {
	mask := uint32(len(t.rows) - 1)
	i := id & mask
	for t.rows[i].used {
		i = (i + 1) & mask
	}
	return &t.rows[i]
}

// tidy frees a row that holds nothing, and moves up those behind it that were not where they belong.
func (t *table) tidy(r *row) {
	if r.hasRoot || r.plugin != nil || r.http != nil || r.tcp != nil {
		return
	}
	mask := uint32(len(t.rows) - 1)
	hole := r.id & mask
	for &t.rows[hole] != r {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; t.rows[i].used; i = (i + 1) & mask {
		if (i-t.rows[i].id)&mask >= (i-hole)&mask { // its own place is at the hole or before it
			t.rows[hole] = t.rows[i]
			hole = i
		}
	}
	t.rows[hole] = row{}
	t.used--
}
