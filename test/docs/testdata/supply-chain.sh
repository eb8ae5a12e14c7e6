grep -q '"name": "github.com/tetratelabs/proxy-wasm-go-sdk"' addheader.cdx.json
