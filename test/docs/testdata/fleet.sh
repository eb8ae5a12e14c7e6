rendered=manifests/rendered/fleet
test "$(find $rendered -type f | wc -l)" = 5
grep -q 'istio: ingressgateway' $rendered/web-ingress/*_wasmplugin_addheader.yaml
grep -q 'kind: Gateway' $rendered/web-public/*_wasmplugin_addheader.yaml
grep -q 'kind: Service' $rendered/web-pay/*_wasmplugin_addheader.yaml
! grep -Eq 'selector|targetRefs' $rendered/istio-system/*_wasmplugin_addheader.yaml
grep -q "url: oci://$REPO/corazawaf/coraza-proxy-wasm:0.6.0@sha256:" manifests/rendered/dev/*_wasmplugin_coraza-proxy-wasm.yaml
grep -q "url: oci://$MIRROR/addheader:v0.6.0@sha256:" manifests/rendered/prod-us/*_wasmplugin_addheader.yaml
! grep -rq "$MIRROR" manifests/rendered/staging manifests/rendered/prod
test -z "$(git status --porcelain manifests)"
bin/wasmfleet render --check
