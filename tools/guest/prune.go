package main

import (
	"encoding/binary"
	"fmt"
	"go/types"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// exports names, for a callback of the SDK's contexts or a function of the SDK, the export that only it needs. It is a drop
// list: an export that is not named here always stays.
var exports = map[string]string{
	"OnPluginDone":           "proxy_on_done",
	"OnQueueReady":           "proxy_on_queue_ready",
	"OnTick":                 "proxy_on_tick",
	"OnNewConnection":        "proxy_on_new_connection",
	"OnDownstreamData":       "proxy_on_downstream_data",
	"OnDownstreamClose":      "proxy_on_downstream_connection_close",
	"OnUpstreamData":         "proxy_on_upstream_data",
	"OnUpstreamClose":        "proxy_on_upstream_connection_close",
	"OnStreamDone":           "proxy_on_log",
	"OnHttpRequestHeaders":   "proxy_on_request_headers",
	"OnHttpRequestBody":      "proxy_on_request_body",
	"OnHttpRequestTrailers":  "proxy_on_request_trailers",
	"OnHttpResponseHeaders":  "proxy_on_response_headers",
	"OnHttpResponseBody":     "proxy_on_response_body",
	"OnHttpResponseTrailers": "proxy_on_response_trailers",
	"OnHttpStreamDone":       "proxy_on_log",
	"DispatchHttpCall":       "proxy_on_http_call_response",
}

// prune copies the module in to out without the exports of the callbacks that the filter leaves to the SDK.
func prune(f *filter, in, out string) error {
	module, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	if _, err := wasmfile.Read(module); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	needed := neededExports(f)
	drop := map[string]bool{}
	for _, export := range exports {
		drop[export] = !needed[export]
	}
	return atomicfile.Write(out, withoutExports(module, drop))
}

// neededExports are the exports whose callback the filter overrides, or that answer a call of the SDK that it makes. A method
// counts unless it is promoted from one of the SDK's Default contexts.
func neededExports(f *filter) map[string]bool {
	needed := map[string]bool{}
	for _, p := range f.packages {
		for _, o := range p.TypesInfo.Uses {
			if o.Pkg() != nil && o.Pkg().Path() == sdk {
				needed[exports[o.Name()]] = true
			}
		}
		contexts := p.Imports[sdk+"/types"]
		if contexts == nil {
			continue
		}
		for _, o := range p.TypesInfo.Defs {
			if t, ok := o.(*types.TypeName); ok && !t.IsAlias() && !types.IsInterface(t.Type()) {
				addOverrides(needed, types.NewPointer(t.Type()), contexts)
			}
		}
	}
	return needed
}

func addOverrides(needed map[string]bool, t *types.Pointer, contexts *packages.Package) {
	for _, name := range []string{"VMContext", "PluginContext", "TcpContext", "HttpContext"} {
		i := contexts.Types.Scope().Lookup(name).Type().Underlying().(*types.Interface)
		if !types.Implements(t, i) {
			continue
		}
		for m := range i.Methods() {
			o, _, _ := types.LookupFieldOrMethod(t, true, nil, m.Name())
			method, ok := o.(*types.Func)
			if ok && !strings.HasPrefix(types.TypeString(method.Signature().Recv().Type(), nil), "*"+contexts.PkgPath+".Default") {
				needed[exports[m.Name()]] = true
			}
		}
	}
}

const exportSection = 7

// withoutExports rewrites the export section of a valid module; every other byte stays.
func withoutExports(module []byte, drop map[string]bool) []byte {
	const header = 8
	out := append([]byte{}, module[:header]...)
	for rest := module[header:]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		body := rest[1+n:][:size]
		rest = rest[1+n+int(size):]
		if id == exportSection {
			body = keptExports(body, drop)
		}
		out = append(binary.AppendUvarint(append(out, id), uint64(len(body))), body...)
	}
	return out
}

func keptExports(section []byte, drop map[string]bool) []byte {
	count, n := binary.Uvarint(section)
	var kept []byte
	var keptCount uint64
	for rest := section[n:]; count > 0; count-- {
		size, n := binary.Uvarint(rest)
		kind := n + int(size)
		_, index := binary.Uvarint(rest[kind+1:])
		entry := rest[:kind+1+index]
		rest = rest[len(entry):]
		if name := entry[n:kind]; !drop[string(name)] {
			kept = append(kept, entry...)
			keptCount++
		}
	}
	return append(binary.AppendUvarint(nil, keptCount), kept...)
}
