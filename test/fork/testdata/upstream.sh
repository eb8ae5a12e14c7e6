#!/usr/bin/env bash
# A later version of wasmfleet: the product, a rule's words, and every kind of content of the samples changed. Run by test/fork in
# the upstream repository.
set -euo pipefail
perl -pi -e 's/^(include Tools.mk)/# A later version.\n$1/' Makefile
echo '# A later version.' >>Tools.mk
echo '// A later version.' >>internal/lint/lint.go
echo '// A later version.' >>filters/internal/pluginconfig/pluginconfig.go
echo '# A later version.' >>manifests/components/filter-image/kustomization.yaml
echo '# A later version.' >>Fork.mk
# Samples: one that the fork has as it was, one that it has changed, one that it has deleted, one that is new.
echo '// A later version.' >>filters/addheader/plugin.go
echo '# A later version.' >>manifests/base/addheader/wasmplugin.yaml
echo '// A later version.' >>filters/jwtfetch/plugin.go
perl -pi -e 's/priority: 10/priority: 11/' manifests/base/jwtfetch/wasmplugin.yaml
cp -R filters/addheader filters/sample
cp -R manifests/base/addheader manifests/base/sample
perl -pi -e 's/addheader/sample/g' $(grep -rl addheader filters/sample manifests/base/sample)
perl -pi -e 's/priority: 10/priority: 12/' manifests/base/sample/wasmplugin.yaml
# Environments: a new line, other values, a new one.
perl -pi -e 's|^(resources:)|$1\n- ../../base/sample|' manifests/overlays/*/kustomization.yaml
perl -pi -e 's/value: .*/value: later/' manifests/overlays/*/addheader-config.yaml
cp -R manifests/overlays/prod manifests/overlays/edge
perl -pi -e 's/upstream: .*/upstream: prod/' manifests/overlays/edge/environment.yaml
perl -pi -e 's/web-prod/web-edge/' manifests/overlays/edge/kustomization.yaml
make -s pins >/dev/null
# What Argo CD is given, and the workflows.
perl -pi -e 's/duration: .*/duration: 9h/; s/description: .*/description: Later/' manifests/argocd/appproject.yaml
echo '# A later version.' >>manifests/argocd/clusterrole.yaml
echo '# A later version.' >>.github/workflows/ci.yaml
git add -A
git commit -qm 'A later version'
