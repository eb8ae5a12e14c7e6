;; A plugin that puts the header hello on every response, its configuration being the value. It refuses one over 40 bytes.
;; wasm-as hello.wat -o hello.wasm
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "hello")
  (data (i32.const 1040) "hello: too long")
  (global $free (mut i32) (i32.const 4096))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (i32.sub (global.get $free) (local.get $size)))
  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
    (if (i32.gt_u (local.get $size) (i32.const 40)) (then
      (drop (call $log (i32.const 5) (i32.const 1040) (i32.const 15)))
      (return (i32.const 0))))
    ;; 7 is the plugin's configuration. Pointer and size go to 2048 and 2052.
    (drop (call $buffer (i32.const 7) (i32.const 0) (local.get $size) (i32.const 2048) (i32.const 2052)))
    (i32.const 1))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 5) (i32.load (i32.const 2048)) (i32.load (i32.const 2052))))
    (i32.const 0)))
