// Package istiocompat is what the Istio minors that wasmfleet supports have in common and where they differ, as data.
package istiocompat

import (
	_ "embed" // the table
	"slices"
	"strings"
	"sync"
)

//go:embed envoys.txt
var table string

// next is in the table, in the place of a minor, for the Envoy of the coming one.
const next = "next"

// row is a line of the table.
type row struct{ istio, envoy string }

var rows = sync.OnceValue(func() (all []row) {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] != "#" {
			all = append(all, row{fields[0], fields[1]})
		}
	}
	return all
})

// TestedEnvoys are the releases of Envoy that the filters are tested on, oldest first: one for each supported minor, and the next.
func TestedEnvoys() (all []string) {
	for _, r := range rows() {
		all = append(all, r.envoy)
	}
	return all
}

// TestedEnvoy is the release of Envoy that stands for the one inside the Istio minor; false when that minor is not supported.
func TestedEnvoy(istio string) (string, bool) {
	for _, r := range rows() {
		if r.istio == istio && istio != next {
			return r.envoy, true
		}
	}
	return "", false
}

// Minors are the supported Istio minors, oldest first.
func Minors() (all []string) {
	for _, r := range rows() {
		if r.istio != next {
			all = append(all, r.istio)
		}
	}
	return all
}

// Provides reports whether the Envoy of every supported minor offers the import module.name to a module of ABI 0.2.x.
// The list is that of proxy-wasm-cpp-host (include/proxy-wasm/exports.h, src/wasm.cc), equal from Envoy 1.36 to 1.40.
func Provides(module, name, abi string) bool {
	switch module {
	case "env":
		if name == "proxy_get_log_level" {
			return abi == "0.2.1"
		}
		return slices.Contains(hostcalls, name)
	case "wasi_snapshot_preview1", "wasi_unstable":
		return slices.Contains(wasi, name)
	}
	return false
}

var hostcalls = strings.Fields(`
	pthread_equal emscripten_notify_memory_growth
	proxy_log proxy_get_status proxy_set_property proxy_get_property proxy_send_local_response proxy_get_shared_data
	proxy_set_shared_data proxy_register_shared_queue proxy_resolve_shared_queue proxy_dequeue_shared_queue
	proxy_enqueue_shared_queue proxy_get_header_map_value proxy_add_header_map_value proxy_replace_header_map_value
	proxy_remove_header_map_value proxy_get_header_map_pairs proxy_set_header_map_pairs proxy_get_header_map_size
	proxy_get_buffer_status proxy_get_buffer_bytes proxy_set_buffer_bytes proxy_http_call proxy_grpc_call proxy_grpc_stream
	proxy_grpc_close proxy_grpc_cancel proxy_grpc_send proxy_set_tick_period_milliseconds proxy_get_current_time_nanoseconds
	proxy_define_metric proxy_increment_metric proxy_record_metric proxy_get_metric proxy_set_effective_context proxy_done
	proxy_call_foreign_function proxy_continue_stream proxy_close_stream`)

var wasi = strings.Fields(`
	fd_write fd_read fd_seek fd_close fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights environ_get environ_sizes_get
	args_get args_sizes_get clock_time_get clock_res_get fd_advise fd_allocate fd_datasync fd_filestat_set_size
	fd_filestat_set_times fd_pread fd_pwrite fd_readdir fd_renumber fd_sync fd_tell path_create_directory
	path_filestat_set_times path_link path_readlink path_remove_directory path_rename path_symlink path_unlink_file
	sock_accept sock_recv sock_send sock_shutdown random_get sched_yield poll_oneoff proc_exit path_open
	fd_prestat_get fd_prestat_dir_name path_filestat_get fd_filestat_get`)
