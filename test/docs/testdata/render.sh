grep -q 'failure_policy: FAIL_OPEN' manifests/rendered/dev/*_envoyfilter_jwtfetch.yaml
test -z "$(ls manifests/rendered/dev | grep wasmplugin)"
