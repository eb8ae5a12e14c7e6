;; The least that a filter can do: one callback per request, one call into the host, no memory management, no configuration.
;;
;; Like every peer it sets a header of its own for each of the 20 copies in a chain. The name is "x-bench-" and a letter, which goes
;; round with each call: the copies of a chain are called one after the other.
(module
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "x-bench-a")
  (data (i32.const 1040) "world")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $replace (i32.const 2) (i32.const 1024) (i32.const 9) (i32.const 1040) (i32.const 5)))
    ;; 'a' to 't', as many as there are copies.
    (i32.store8 (i32.const 1032)
      (i32.add (i32.const 97) (i32.rem_u (i32.sub (i32.load8_u (i32.const 1032)) (i32.const 96)) (i32.const 20))))
    (i32.const 0)))
