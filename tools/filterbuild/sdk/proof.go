//go:build ignore

package internal

import (
	"unsafe"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// build is what internal/wasmfile, Seal, fills in when the module is there.
var build = [...]byte{'w', 'a', 's', 'm', 'f', 'l', 'e', 'e', 't', ' ', 'b', 'u', 'i', 'l', 'd', ':', '?', '?', '?', '?', '?', '?'}

// buildAt keeps the compiler from reading build before it is filled in.
//
//go:noinline
func buildAt(i int) byte { return build[i] }

// counted are the plugins that run, and the gauge that counts them.
var counted []struct{ context, gauge uint32 }

// configured says, once a plugin has accepted its configuration, which configuration that is and which build this is, and counts it:
// three gauges, that Istio's default stats matcher shows. A refused configuration leaves them as they were, and that is what runs on. The
// first two outlive the plugin, the count does not: each worker has one.
func configured(status types.OnPluginStartStatus, context uint32, size int) types.OnPluginStartStatus {
	if status != types.OnPluginStartStatusOK {
		return status
	}
	var configuration, name *byte
	var length, nameLength int
	if size > 0 && ProxyGetBufferBytes(BufferTypePluginConfiguration, 0, size, &configuration, &length) != StatusOK {
		return status // what cannot be read is not vouched for
	}
	hash := uint64(14695981039346656037) // FNV-1a
	for _, b := range unsafe.Slice(configuration, length) {
		hash = (hash ^ uint64(b)) * 1099511628211
	}
	var made uint64
	for i := len(build) - 6; i < len(build); i++ {
		made = made<<8 | uint64(buildAt(i))
	}
	const property = "plugin_name"
	ProxyGetProperty(StringBytePtr(property), len(property), &name, &nameLength)
	gauge, end := objectPrefix(unsafe.Slice(name, nameLength))
	define := func(what string) (id uint32) {
		ProxyDefineMetric(MetricTypeGauge, &gauge[0], end+copy(gauge[end:], what), &id)
		return id
	}
	ProxyRecordMetric(define("wasmfleet.config"), hash>>16) // 48 bits: Prometheus has floats
	ProxyRecordMetric(define("wasmfleet.build"), made)
	for _, c := range counted {
		if c.context == context {
			return status
		}
	}
	running := define("wasmfleet.running")
	ProxyIncrementMetric(running, 1)
	counted = append(counted, struct{ context, gauge uint32 }{context, running})
	return status
}

// deleteCounted deletes a plugin's context, and counts it no more.
func deleteCounted(context uint32) {
	for i, c := range counted {
		if c.context == context {
			ProxyIncrementMetric(c.gauge, -1)
			counted[i] = counted[len(counted)-1]
			counted = counted[:len(counted)-1]
			break
		}
	}
	currentState.deletePluginContexts(context)
}

// objectPrefix is the Prefix of filters/internal/metric, of the object that the host has this name for; end is where it ends. Bytes are
// put in their places, since each append is 200 bytes of the module.
func objectPrefix(plugin []byte) (name []byte, end int) {
	const before, unnamed = "wasm_filter.", "unnamed"
	name = make([]byte, len(before)+len(plugin)+len(unnamed)+len(".wasmfleet.running"))
	end = copy(name, before)
	points := 0
	for _, b := range plugin {
		if b == '~' {
			break
		}
		if b == '/' {
			end, points = len(before), 0
			continue
		}
		if b == '.' {
			if b = '_'; points == 0 {
				b = '/'
			}
			points++
		}
		name[end] = b
		end++
	}
	if end == len(before) {
		end += copy(name[end:], unnamed)
	}
	name[end] = '.'
	return name, end + 1
}
