test "$(git log --oneline --grep '^staging: ' | wc -l)" = 3
git show HEAD~1:manifests/rendered/staging/networking.istio.io_v1alpha3_envoyfilter_addheader-canary.yaml | grep -q 'threshold: 5000'
test ! -e manifests/overlays/staging/canary-addheader.yaml
bin/wasmfleet render --check
