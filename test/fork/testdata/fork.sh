#!/usr/bin/env bash
# What a platform team does to a clone in its first days. Run by test/fork in a clone; it changes content only: filters/, manifests/,
# what make init rewrites, and .github, which another forge has no use for.
set -euo pipefail
commit() { git add -A && git commit -qm "$1"; }

make -s init OWNER=acme REGISTRY=registry.acme.io:5000/wasm REPOSITORY=https://git.acme.io/platform/wasm.git
commit 'The registry and the repository of acme'

# An environment gets another name.
git mv manifests/overlays/prod manifests/overlays/production
git rm -rq manifests/rendered/prod
perl -pi -e 's/web-prod/web-production/' manifests/overlays/production/kustomization.yaml
perl -pi -e 's/wasmfleet-prod\b/wasmfleet-production/' manifests/argocd/appproject.yaml
make -s render
commit 'prod is production here'

# A sample goes.
git rm -rq filters/jwtfetch manifests/base/jwtfetch manifests/overlays/*/jwtfetch-config.yaml
perl -ni -e 'print unless /jwtfetch/' manifests/overlays/*/kustomization.yaml
perl -0pi -e 's/- name: filter:\/\/jwtfetch\n(  .*\n)*//' manifests/overlays/*/digests/kustomization.yaml
make -s render
commit 'jwtfetch: we have our own'

# A filter comes.
cp -R filters/addheader filters/aaa
cp -R manifests/base/addheader manifests/base/aaa
perl -pi -e 's/addheader/aaa/g' $(grep -rl addheader filters/aaa manifests/base/aaa)
perl -pi -e 's/priority: 10/priority: 20/' manifests/base/aaa/wasmplugin.yaml
perl -pi -e 's|^(resources:)|$1\n- ../../base/aaa|' manifests/overlays/*/kustomization.yaml
make -s pins >/dev/null
commit 'aaa'

# A second namespace in one environment, and other namespaces and hours for Argo CD.
cd manifests/overlays/dev
mkdir shop web
cat >shop/kustomization.yaml <<'Y'
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: shop-dev
resources:
- ../../../base/aaa
Y
git mv addheader-config.yaml web/
git mv kustomization.yaml web/
perl -pi -e 's|\.\./\.\./base|../../../base|; s/^components:\n//; s/^- digests\n//' web/kustomization.yaml
cat >kustomization.yaml <<'Y'
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- shop
- web
components:
- digests
Y
cd ../../..
perl -pi -e 's|^(.*)namespace: web-\*|$1namespace: web-*\n  - server: https://kubernetes.default.svc\n    namespace: shop-*|; s/schedule: .*/schedule: 0 6 * * 1-5/; s/duration: .*/duration: 4h/' manifests/argocd/appproject.yaml
make -s render
commit 'A second namespace, other hours'

git rm -rq .github
commit 'Our forge is another'
