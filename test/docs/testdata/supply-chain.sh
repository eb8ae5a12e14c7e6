grep -q '"name": "github.com/tetratelabs/proxy-wasm-go-sdk"' addheader.cdx.json
grep -q '"name": "github.com/google/go-containerregistry"' wasmfleet.cdx.json
make reproduce FILTER=addheader | grep -x equal
ref=$(grep '/addheader:' build/refs)
bin/wasmfleet reproduce addheader --ref "$ref" | grep -x equal
# Another module is not equal, and it is said where.
perl -pi -e 's/proxy_on_configure/proxy_on_configurf/' build/addheader.wasm
if bin/wasmfleet reproduce addheader --ref "$ref" >differs; then exit 1; fi
grep -qx 'built      export: offset .*' differs
