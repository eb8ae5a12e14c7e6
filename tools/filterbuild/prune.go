package main

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"

	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// The host skips a callback that the module does not export, which saves a third of the cost of a request. An export goes only
// when the whole program proves that nobody can see the difference; what is not proven, or not named here, stays.

// callbacks names, for an export, the methods of the SDK's contexts that it leads to.
var callbacks = map[string][]string{
	"proxy_on_done":                        {"OnPluginDone"},
	"proxy_on_queue_ready":                 {"OnQueueReady"},
	"proxy_on_tick":                        {"OnTick"},
	"proxy_on_new_connection":              {"OnNewConnection"},
	"proxy_on_downstream_data":             {"OnDownstreamData"},
	"proxy_on_downstream_connection_close": {"OnDownstreamClose"},
	"proxy_on_upstream_data":               {"OnUpstreamData"},
	"proxy_on_upstream_connection_close":   {"OnUpstreamClose"},
	"proxy_on_log":                         {"OnStreamDone", "OnHttpStreamDone"},
	"proxy_on_request_headers":             {"OnHttpRequestHeaders"},
	"proxy_on_request_body":                {"OnHttpRequestBody"},
	"proxy_on_request_trailers":            {"OnHttpRequestTrailers"},
	"proxy_on_response_headers":            {"OnHttpResponseHeaders"},
	"proxy_on_response_body":               {"OnHttpResponseBody"},
	"proxy_on_response_trailers":           {"OnHttpResponseTrailers"},
}

// answers names, for an export, the call of the host without which it is never called back.
var answers = map[string]string{"proxy_on_http_call_response": "proxy_http_call"}

// allocators are the C library's. TinyGo's malloc keeps what it gave until free, which Envoy never calls; without the export Envoy
// takes proxy_on_memory_allocate, whose memory the garbage collector frees.
var allocators = []string{"malloc", "free", "calloc", "realloc"}

// called are the other functions of a module that a host calls.
var called = []string{"_initialize", "_start", "main"}

// unneeded are the exports of the module that can go, sorted, and what is said about those that could not be proven.
func unneeded(p *program, m *wasmfile.Module) (drop, notes []string) {
	exporters := p.exporters()
	unproven := map[string][]string{} // by reason
	for _, export := range slices.Sorted(maps.Keys(callbacks)) {
		if !m.Has(export) || p.overridden(callbacks[export]) {
			continue
		}
		if why := p.dispatches(exporters[export], callbacks[export]); why != "" {
			unproven[why] = append(unproven[why], export)
			continue
		}
		drop = append(drop, export)
	}
	for export, call := range answers {
		calls := slices.ContainsFunc(m.Imports, func(i wasmfile.Import) bool { return i.Name == call })
		if m.Has(export) && !calls {
			drop = append(drop, export)
		}
	}
	for _, export := range m.Exports {
		if !strings.HasPrefix(export, "proxy_") && !slices.Contains(called, export) && !slices.Contains(allocators, export) {
			drop = append(drop, export) // such as those of TinyGo's C library
		}
	}
	if m.Has("proxy_on_memory_allocate") {
		for _, export := range allocators {
			if m.Has(export) {
				drop = append(drop, export)
			}
		}
	}
	slices.Sort(drop)
	for _, why := range slices.Sorted(maps.Keys(unproven)) {
		notes = append(notes, fmt.Sprintf("%s: %s. kept: %s", p.main.PkgPath, why, strings.Join(unproven[why], ", ")))
	}
	return drop, notes
}

// overridden reports whether any method of these names, on any type of the program, does more than answer as the host does when
// there is no callback. Names alone decide: a context that Go can build, however it is put together, calls one of these.
func (p *program) overridden(names []string) bool {
	for _, name := range names {
		for _, m := range p.methods(name) {
			if !p.neutral(p.ssa.FuncValue(m)) {
				return true
			}
		}
	}
	return false
}

// neutral reports whether the function does nothing but return what the host assumes without it: continue, or true for done.
func (p *program) neutral(f *ssa.Function) bool {
	if f == nil || len(f.Blocks) == 0 {
		return false
	}
	for _, b := range reachable(f) {
		for _, i := range b.Instrs {
			switch i := i.(type) {
			case *ssa.Return:
				for _, v := range i.Results {
					if !neutralValue(v) {
						return false
					}
				}
			case *ssa.DebugRef, *ssa.Jump, *ssa.If:
			default:
				return false
			}
		}
	}
	return true
}

// neutralValue is what the host takes for the answer of a callback that is not there: true of a bool, 0 of an action.
func neutralValue(v ssa.Value) bool {
	return isConst(v, constant.MakeBool(true)) || isConst(v, constant.MakeInt64(0))
}

// dispatches says why it is not proven that these functions do nothing but hand the call to one of the methods, or nothing. There
// must be one: the function that the SDK, or a copy of it, exports.
func (p *program) dispatches(exporters []*ssa.Function, methods []string) string {
	if len(exporters) != 1 {
		return fmt.Sprintf("%d functions of the program are exported under this name, want the SDK's", len(exporters))
	}
	handed := 0
	if why := p.handsOn(exporters[0], methods, map[*ssa.Function]bool{}, &handed); why != "" || handed == 0 {
		if why == "" {
			why = exporters[0].Name() + " never calls " + strings.Join(methods, " or ")
		}
		return fmt.Sprintf("the SDK %s is not the one that is known: %s", strings.TrimSuffix(exporters[0].Pkg.Pkg.Path(), "/internal"), why)
	}
	return ""
}

// handsOn follows the function and what it calls directly. It may look a context up, panic when there is none, note the active
// context, call one of the methods, which is counted, and return what that returns.
func (p *program) handsOn(f *ssa.Function, methods []string, seen map[*ssa.Function]bool, handed *int) string {
	if seen[f] {
		return ""
	}
	seen[f] = true
	if len(f.Blocks) == 0 {
		return f.Name() + " has no body"
	}
	for _, b := range reachable(f) {
		for _, i := range b.Instrs {
			why := ""
			switch i := i.(type) {
			case *ssa.Store:
				why = stores(i)
			case *ssa.Call:
				why = p.calls(i, methods, seen, handed)
			case *ssa.If:
				why = p.decides(i.Cond)
			case *ssa.UnOp:
				if i.Op == token.ARROW {
					why = "receives from a channel"
				}
			case *ssa.Return:
				for _, v := range i.Results {
					if len(seen) == 1 && !p.handedOn(v, methods, map[ssa.Value]bool{}) {
						why = "returns something of its own"
					}
				}
			case *ssa.Alloc, *ssa.BinOp, *ssa.ChangeInterface, *ssa.ChangeType, *ssa.Convert, *ssa.DebugRef, *ssa.Extract, *ssa.Field, *ssa.FieldAddr,
				*ssa.Index, *ssa.IndexAddr, *ssa.Jump, *ssa.Lookup, *ssa.MakeInterface, *ssa.Panic, *ssa.Phi, *ssa.RunDefers:
			default:
				why = fmt.Sprintf("does more than hand the call on (%s)", i)
			}
			if why != "" {
				return f.Name() + " " + why
			}
		}
	}
	return ""
}

// activeContext is the one thing that the SDK remembers from a callback. Each callback that stays sets it anew.
const activeContext = "activeContextID"

func stores(s *ssa.Store) string {
	if field, ok := s.Addr.(*ssa.FieldAddr); ok {
		name := field.X.Type().Underlying().(*types.Pointer).Elem().Underlying().(*types.Struct).Field(field.Field).Name()
		if name == activeContext {
			return ""
		}
		return "writes " + name
	}
	if _, local := s.Addr.(*ssa.Alloc); local {
		return ""
	}
	return "writes " + s.Addr.Name()
}

// decides says why a condition is not about whether the context is there.
func (p *program) decides(cond ssa.Value) string {
	switch c := cond.(type) {
	case *ssa.Const:
		return ""
	case *ssa.Extract:
		if _, found := c.Tuple.(*ssa.Lookup); found {
			return ""
		}
		if call, found := c.Tuple.(*ssa.Call); found && p.looksUp(call.Call.StaticCallee()) {
			return ""
		}
	case *ssa.BinOp:
		if n, ok := c.Y.(*ssa.Const); ok && n.IsNil() {
			return ""
		}
	}
	return "decides by something else than whether the context is there"
}

func (p *program) calls(c *ssa.Call, methods []string, seen map[*ssa.Function]bool, handed *int) string {
	switch callee := c.Call.StaticCallee(); {
	case c.Call.IsInvoke() && slices.Contains(methods, c.Call.Method.Name()):
		*handed++
		return ""
	case p.looksUp(callee):
		return ""
	case callee != nil && callee.Pkg != nil && callee.Pkg == c.Parent().Pkg:
		return p.handsOn(callee, methods, seen, handed)
	default:
		return "calls " + c.Call.Value.Name()
	}
}

// handedOn reports whether the value is what one of the methods returned, or what the host assumes anyway.
func (p *program) handedOn(v ssa.Value, methods []string, seen map[ssa.Value]bool) bool {
	if seen[v] {
		return true
	}
	seen[v] = true
	switch v := v.(type) {
	case *ssa.Call:
		return v.Call.IsInvoke() && slices.Contains(methods, v.Call.Method.Name())
	case *ssa.ChangeType:
		return p.handedOn(v.X, methods, seen)
	case *ssa.Phi:
		return !slices.ContainsFunc(v.Edges, func(e ssa.Value) bool { return !p.handedOn(e, methods, seen) })
	default:
		return neutralValue(v)
	}
}

// exporters are the functions that TinyGo exports under a name, by that name.
func (p *program) exporters() map[string][]*ssa.Function {
	all := map[string][]*ssa.Function{}
	for _, pkg := range p.packages {
		for _, file := range pkg.Syntax {
			for _, d := range functions(file) {
				if d.Doc == nil {
					continue
				}
				for _, comment := range d.Doc.List {
					name, ok := exportName(comment.Text)
					if o, isFunc := pkg.TypesInfo.Defs[d.Name].(*types.Func); ok && isFunc {
						all[name] = append(all[name], p.ssa.FuncValue(o))
					}
				}
			}
		}
	}
	return all
}

// exportName reads TinyGo's and Go's directives.
func exportName(comment string) (string, bool) {
	for _, directive := range []string{"//export ", "//go:export ", "//go:wasmexport "} {
		if name, ok := strings.CutPrefix(comment, directive); ok {
			return strings.TrimSpace(name), true
		}
	}
	return "", false
}

// reachable are the function's blocks without those behind a condition that is constantly false, such as the SDK's timing.
func reachable(f *ssa.Function) []*ssa.BasicBlock {
	var all []*ssa.BasicBlock
	todo := []*ssa.BasicBlock{f.Blocks[0]}
	for len(todo) > 0 {
		b := todo[0]
		todo = todo[1:]
		if slices.Contains(all, b) {
			continue
		}
		all = append(all, b)
		next := b.Succs
		if branch, ok := b.Instrs[len(b.Instrs)-1].(*ssa.If); ok {
			switch {
			case isConst(branch.Cond, constant.MakeBool(true)):
				next = b.Succs[:1]
			case isConst(branch.Cond, constant.MakeBool(false)):
				next = b.Succs[1:]
			}
		}
		todo = append(todo, next...)
	}
	return all
}
