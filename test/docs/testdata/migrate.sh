grep -q 'url: filter://audit' manifests/base/audit/wasmplugin.yaml
grep -rq 'audit:v3@sha256:0123' manifests/rendered/dev
kustomize build manifests/overlays/dev | grep -q 'name: audit'
bin/wasmfleet render --check
