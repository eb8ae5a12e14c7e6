package main

import (
	"fmt"
	"os"
	"path/filepath"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	header_mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	wasmhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// copies of a filter in one chain: the cost of one drowns in that of the request. floor.wat counts to it.
const copies = 20

// value of every header that is set.
const value = "world"

// header is the name that a copy sets. Each has its own, so that an answer shows that every copy ran.
func header(copy int) string { return "x-bench-" + string(rune('a'+copy)) }

// A peer is one way to set a response header.
type peer struct {
	Name string
	// Module is built by build.sh, ours by make build; empty for what is native to Envoy.
	Module string
	// config of a Wasm module; by default the name, a space and the value.
	config func(name string) string
	// native is the configuration of a filter of Envoy's own.
	native func(name string) proto.Message
}

// The peers by name. Ours is what the others are compared with.
const (
	nothing        = "nothing"
	nothingAgain   = "nothing, again (A/A)"
	headerMutation = "header_mutation, native"
	lua            = "Lua"
	ours           = "addheader, as built here"
	sdkExample     = "TinyGo, as the SDK's examples build it"
	floor          = "hand-written floor"
	rust           = "Rust proxy-wasm, as built by default"
	rustPruned     = "Rust proxy-wasm, pruned"
	goWasip1       = "Go wasip1"
)

func peers() []peer {
	return []peer{
		{Name: nothing},
		{Name: nothingAgain},
		{Name: headerMutation, native: newHeaderMutation},
		{Name: lua, native: newLua},
		{Name: ours, Module: "../build/addheader.wasm", config: func(name string) string {
			return fmt.Sprintf(`{"name":%q,"value":%q}`, name, value)
		}},
		{Name: sdkExample, Module: "build/sdkexample.wasm"},
		{Name: floor, Module: "build/floor.wasm"},
		{Name: rust, Module: "build/rust.wasm"},
		{Name: rustPruned, Module: "build/rustpruned.wasm"},
		{Name: goWasip1, Module: "build/gowasip1.wasm"},
	}
}

// empty says that the peer is an Envoy without any filter.
func (p peer) empty() bool { return p.Module == "" && p.native == nil }

// size of the module in bytes; nothing for what has none.
func (p peer) size() (int64, error) {
	if p.Module == "" {
		return 0, nil
	}
	info, err := os.Stat(p.Module)
	if err != nil {
		return 0, fmt.Errorf(`reading the module of %q: %w. run "make build" and bench/build.sh`, p.Name, err)
	}
	return info.Size(), nil
}

// filter is the configuration of one copy.
func (p peer) filter(name string) (proto.Message, error) {
	if p.native != nil {
		return p.native(name), nil
	}
	path, err := filepath.Abs(p.Module)
	if err != nil {
		return nil, err
	}
	text := name + " " + value
	if p.config != nil {
		text = p.config(name)
	}
	config, err := anypb.New(wrapperspb.String(text))
	if err != nil {
		return nil, err
	}
	return &wasmhttpv3.Wasm{Config: &wasmv3.PluginConfig{
		Name:          name,
		Configuration: config,
		// One vm_id, so that the copies share a VM, as the WasmPlugins of one image do under Istio.
		Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
			VmId:    p.Name,
			Runtime: "envoy.wasm.runtime.v8",
			Code: &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Local{
				Local: &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}},
			}},
		}},
	}}, nil
}

func newLua(name string) proto.Message {
	code := fmt.Sprintf("function envoy_on_response(handle) handle:headers():replace(%q, %q) end", name, value)
	return &luav3.Lua{DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: code}}}
}

func newHeaderMutation(name string) proto.Message {
	return &header_mutationv3.HeaderMutation{Mutations: &header_mutationv3.Mutations{
		ResponseMutations: []*mutationv3.HeaderMutation{{Action: &mutationv3.HeaderMutation_Append{
			Append: &corev3.HeaderValueOption{
				Header:       &corev3.HeaderValue{Key: name, Value: value},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			},
		}}},
	}}
}
