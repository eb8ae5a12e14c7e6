test -n "$(grep -l 'oci://ghcr.io/acme/mine:v0.1.0@sha256:0123' manifests/rendered/dev/*_wasmplugin_mine.yaml)"
grep -q 'value: hello from dev' manifests/rendered/dev/*_wasmplugin_addheader.yaml
! grep -q '/docs/addheader:' manifests/rendered/staging/*
