//go:build tinygo

package metric

import "unsafe"

//go:wasmimport env proxy_define_metric
func proxyDefineMetric(kind uint32, name unsafe.Pointer, size uint32, id unsafe.Pointer) uint32

//go:wasmimport env proxy_increment_metric
func increment(id uint32, offset int64) uint32

//go:wasmimport env proxy_record_metric
func record(id uint32, value uint64) uint32

func define(kind uint32, name string) (uint32, bool) {
	var id uint32
	status := proxyDefineMetric(kind, unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), unsafe.Pointer(&id))
	return id, status == 0
}
