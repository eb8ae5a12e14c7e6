// A filter in C, against the proxy-wasm ABI 0.2.1 itself: it adds `hello: c` to responses.
//
// clang --target=wasm32-wasi -mexec-model=reactor -O2 -o filter.wasm filter.c
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(#name)))
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))

IMPORT(proxy_add_header_map_value) int add_header(int map, const char *key, size_t key_size, const char *value, size_t value_size);

enum { RESPONSE_HEADERS = 2, CONTINUE = 0 };

EXPORT(proxy_abi_version_0_2_1) void abi(void) {}
EXPORT(proxy_on_memory_allocate) void *allocate(size_t size) { return malloc(size); }
EXPORT(proxy_on_vm_start) int vm_start(int context, int size) { return 1; }
EXPORT(proxy_on_configure) int configure(int context, int size) { return 1; }

EXPORT(proxy_on_response_headers) int response_headers(int context, int headers, int end) {
  static const char key[] = "hello", value[] = "c";
  add_header(RESPONSE_HEADERS, key, strlen(key), value, strlen(value));
  return CONTINUE;
}
