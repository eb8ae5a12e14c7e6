grep -q 'sourceRepos:' manifests/argocd/appproject.yaml
grep -q 'https://github.com/acme/wasmfleet.git' manifests/argocd/appproject.yaml
! grep -rq 'ghcr.io/wasmfleet' manifests Makefile
grep -q 'imagePullSecret: wasm-registry' manifests/rendered/prod/web-prod/*_wasmplugin_addheader.yaml
grep -q 'namespace: web-prod-eu' manifests/rendered/prod-eu/*_wasmplugin_addheader.yaml
grep -q 'addheader:v0.3.0@sha256' manifests/rendered/dev/*_wasmplugin_addheader.yaml
! grep -q 'addheader:v0.3.0' manifests/rendered/staging/*_wasmplugin_addheader.yaml
test -z "$(git status --porcelain manifests)"
