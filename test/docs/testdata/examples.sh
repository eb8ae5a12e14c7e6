test -f build/addheader.wasm
