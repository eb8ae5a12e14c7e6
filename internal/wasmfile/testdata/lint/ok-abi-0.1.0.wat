;; ABI 0.1.0, of 2019, which every Envoy loads.
(module
  (memory (export "memory") 2)
  (func (export "proxy_abi_version_0_1_0"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
  (func (export "_initialize"))
  (func (export "proxy_on_request_headers") (param i32 i32) (result i32) (i32.const 0)))
