;; A plugin that accepts no configuration, refuses a short one with a message traps at a long one
;; and never returns from a very long one. wasm-as fussy.wat -o fussy.wasm
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "fussy: parsing plugin configuration: want \"none\"\n\c3\a9t cetera")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))
  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32)
    (if (i32.gt_u (local.get $size) (i32.const 500)) (then (loop $ever (br $ever))))
    (if (i32.gt_u (local.get $size) (i32.const 50)) (then (unreachable)))
    (if (i32.eqz (local.get $size)) (then (return (i32.const 1))))
    (drop (call $log (i32.const 5) (i32.const 1024) (i32.const 59)))
    (i32.const 0)))
