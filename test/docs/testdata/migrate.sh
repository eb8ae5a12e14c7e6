grep -q 'url: filter://audit' manifests/base/audit/wasmplugin.yaml
grep -q 'audit:v3@sha256:0123' manifests/rendered/dev/*_wasmplugin_audit.yaml
kustomize build manifests/overlays/dev | grep -q 'name: audit'
bin/wasmfleet render --check
