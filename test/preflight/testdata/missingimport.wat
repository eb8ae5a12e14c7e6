;; A plugin that wants a function that no host has. wasm-as missingimport.wat -o missingimport.wasm
(module
  (import "env" "strlen" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096)))
