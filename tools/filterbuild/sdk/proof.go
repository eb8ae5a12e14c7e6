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

// configured says, once a plugin has accepted its configuration, which configuration that is and which build this is: two gauges
// that Istio's default stats matcher shows. A refused configuration leaves them as they were, and that is what runs on.
func configured(status types.OnPluginStartStatus, size int) types.OnPluginStartStatus {
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
	setGauge(gauge[:end+copy(gauge[end:], "wasmfleet.config")], hash>>16) // 48 bits: Prometheus has floats
	setGauge(gauge[:end+copy(gauge[end:], "wasmfleet.build")], made)
	return status
}

// objectPrefix is the Prefix of filters/internal/metric, of the object that the host has this name for; end is where it ends. Bytes are
// put in their places, since each append is 200 bytes of the module.
func objectPrefix(plugin []byte) (name []byte, end int) {
	const before, unnamed = "wasm_filter.", "unnamed"
	name = make([]byte, len(before)+len(plugin)+len(unnamed)+len(".wasmfleet.config"))
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

func setGauge(name []byte, value uint64) {
	var id uint32
	if ProxyDefineMetric(MetricTypeGauge, &name[0], len(name), &id) == StatusOK {
		ProxyRecordMetric(id, value)
	}
}
