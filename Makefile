# One way through: build -> publish -> promote -> render -> (Argo CD syncs). `make help` lists the targets.
include Tools.mk Fork.mk

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FILTERS := $(notdir $(patsubst %/plugin.yaml,%,$(wildcard filters/*/plugin.yaml)))
# FILTER=x or ENV=x restricts a target to one filter or environment.
FILTER  ?=
ENV     ?=

TOOLS   := $(CURDIR)/.tools
# TINYGO=/path and ENVOY=/path choose what .tools/bin runs; everything else runs it from there.
unexport TINYGO ENVOY

.DELETE_ON_ERROR:
.SECONDEXPANSION:
.PHONY: help tools envoys build sbom reproduce new adopt migrate dev test ci examples fork e2e soak bench scale check publish init upgrade login promote render diff run status verify demo demo-gitops pins clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## ---- toolchain

INSTALL = $(foreach v,TINYGO_VERSION LLVM_VERSION BINARYEN_VERSION ENVOY_VERSION,$(v)='$($(v))') \
	TINYGO='$(TINYGO)' ENVOY='$(ENVOY)' toolchain/install.sh

tools: ## the pinned toolchain into .tools/
	@$(INSTALL)

envoys: ## an Envoy for each supported Istio into .tools/, for check and soak
	@toolchain/envoy.sh

.PHONY: tools-quiet
tools-quiet:
	@$(INSTALL) -q

# A Go program of Tools.mk, in a file that carries its version: .tools/kustomize-v5.8.1
GOTOOL = $(TOOLS)/$(1)-$($(2)_VERSION)
KUSTOMIZE := $(call GOTOOL,kustomize,KUSTOMIZE)
CRANE     := $(call GOTOOL,crane,CRANE)
DISTRIBUTION := $(call GOTOOL,registry,REGISTRY)
ACTIONLINT := $(call GOTOOL,actionlint,ACTIONLINT)
GOLANGCI  := $(call GOTOOL,golangci-lint,GOLANGCI)
$(KUSTOMIZE): PKG = $(KUSTOMIZE_PKG)@$(KUSTOMIZE_VERSION)
$(CRANE): PKG = $(CRANE_PKG)@$(CRANE_VERSION)
$(DISTRIBUTION): PKG = $(REGISTRY_PKG)@$(REGISTRY_VERSION)
$(ACTIONLINT): PKG = $(ACTIONLINT_PKG)@$(ACTIONLINT_VERSION)
$(GOLANGCI): PKG = $(GOLANGCI_PKG)@$(GOLANGCI_VERSION)
$(KUSTOMIZE) $(CRANE) $(DISTRIBUTION) $(ACTIONLINT) $(GOLANGCI):
	@echo "tools: building $(PKG)" >&2
	@mkdir -p $@.tmp && GOBIN=$@.tmp go install $(PKG) && mv $@.tmp/* $@ && rmdir $@.tmp

# Our own tools, with what they embed; a folder is newer when a file in it is gone (but "tools" is a target).
# filterbuild has fewer sources than the others: every filter is built anew when it changes.
go_sources = $(shell find $(1) -not -name '*_test.go' -not -path tools) go.mod go.sum
bin/filterbuild: $(call go_sources,tools/filterbuild internal/cli internal/catalog internal/wasmfile internal/atomicfile internal/istiocompat internal/loadcheck internal/envoy)
	@go build -trimpath -o $@ ./tools/filterbuild
bin/wasmfleet: $(call go_sources,tools internal)
	@go build -trimpath -o $@ ./tools/wasmfleet

## ---- build: filterbuild is the only caller of tinygo and wasm-opt, and knows what a module is made of

# --stock-sdk in Fork.mk builds with the SDK as it is.
BUILDFLAGS ?=

build: bin/filterbuild | tools-quiet ## build/<filter>.wasm from filters/<filter> [FILTER=x]
	@bin/filterbuild $(BUILDFLAGS) build $(or $(FILTER),$(FILTERS))

build/%.wasm: bin/filterbuild FORCE | tools-quiet
	@bin/filterbuild $(BUILDFLAGS) build $* >/dev/null

.PHONY: FORCE
FORCE:

## ---- publish, promote, render: bin/wasmfleet -h

# What publish printed last, for promote.
REFS ?= build/refs

PUBLISH = bin/wasmfleet publish --repo '$(REPO)' --version '$(VERSION)'

publish: build bin/wasmfleet ## push images to REPO, print their references [FILTER=x REPO=host/path VERSION=v PUBLISHFLAGS=…]
	@$(PUBLISH) --refs '$(REFS)' $(PUBLISHFLAGS) $(or $(FILTER),$(FILTERS))

# For scripts/ci-publish. push takes build/ as it is: whoever may write to the registry compiles nothing.
.PHONY: changed push
changed: build bin/wasmfleet
	@$(PUBLISH) --changed $(FILTERS) >build/changed
push: bin/wasmfleet
	@$(PUBLISH) --refs '$(REFS)' $(if $(COSIGN_KEY),--sign-key env://COSIGN_KEY) $(FILTER)

sbom: bin/wasmfleet $(if $(FILTER),build) ## what is compiled into a filter, or without one into the tools, as CycloneDX [FILTER=x]
	@bin/wasmfleet sbom $(if $(FILTER),'$(FILTER)',--tools)

reproduce: bin/wasmfleet $(if $(FILTER),build/$(FILTER).wasm) ## whether this tree builds the module of a published image [FILTER=x REF=host/path@sha256:…]
	@bin/wasmfleet reproduce $(if $(REF),--ref '$(REF)') '$(FILTER)'

new: bin/wasmfleet ## a filter to start from [FILTER=name LIKE=headers|body|shared|tick]
	@bin/wasmfleet new $(if $(LIKE),--like '$(LIKE)') '$(FILTER)'

adopt: bin/wasmfleet ## a Go filter from elsewhere [FROM=folder or file NAME=name]
	@bin/wasmfleet adopt $(if $(NAME),--name '$(NAME)') '$(FROM)'

migrate: bin/wasmfleet ## wasme's objects, or a cluster's plugins, to bases, overlays, pins [FROM=file TO=dev MIGRATEFLAGS=--dry-run]
	@bin/wasmfleet migrate -f '$(or $(FROM),-)' --to '$(TO)' $(MIGRATEFLAGS)

dev: bin/wasmfleet bin/filterbuild | tools-quiet ## a filter in a real Envoy that takes each save, with a playground, until ^C [FILTER=x ENV=dev NAMESPACE=x LISTEN=127.0.0.1:8080 PAGE=127.0.0.1:8081]
	@bin/wasmfleet dev $(if $(ENV),--env '$(ENV)') $(if $(NAMESPACE),--namespace '$(NAMESPACE)') $(if $(LISTEN),--listen '$(LISTEN)') $(if $(PAGE),--page '$(PAGE)') '$(FILTER)'

init: bin/wasmfleet ## a fork's own registry and repository, everywhere [OWNER=name REGISTRY=host/path REPOSITORY=url]
	@bin/wasmfleet init --owner '$(OWNER)' $(if $(REGISTRY),--registry '$(REGISTRY)') $(if $(REPOSITORY),--repository '$(REPOSITORY)')

upgrade: ## merge a later wasmfleet into this fork, which keeps what is its own [FROM=url REF=main]
	@scripts/upgrade $(if $(or $(FROM),$(REF)),'$(or $(FROM),https://github.com/wasmfleet/wasmfleet.git)') $(if $(REF),'$(REF)')

login: $(CRANE) ## keep credentials for REPO's registry, as docker login does; the password comes from stdin [USERNAME=name]
	@$(CRANE) auth login '$(firstword $(subst /, ,$(REPO)))' --username '$(USERNAME)' --password-stdin

promote: bin/wasmfleet ## pin in TO what was published, or what TO's upstream runs, and render it [TO=staging FILTER=x NAMESPACE=x]
	@bin/wasmfleet promote $$(bin/wasmfleet environments --entry | grep -qxF -- '$(TO)' && echo --refs '$(REFS)') --to '$(TO)' $(if $(NAMESPACE),--namespace '$(NAMESPACE)') $(PROMOTEFLAGS) $(FILTER)

render: bin/wasmfleet ## manifests/rendered/<env> from the overlays [ENV=prod]
	@bin/wasmfleet render $(ENV)

diff: bin/wasmfleet ## what a reviewer wants to see, as Markdown: rendered manifests against those of a commit [BASE=origin/main]
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git archive '$(or $(BASE),HEAD)' manifests/rendered | tar -x -C "$$dir" && \
		bin/wasmfleet diff --against "$$dir/manifests/rendered" --format markdown

run: bin/wasmfleet $(patsubst %,build/%.wasm,$(FILTERS)) | tools-quiet ## a real Envoy with the rendered configuration, until ^C [ENV=dev NAMESPACE=x LISTEN=127.0.0.1:8080]
	@bin/wasmfleet run $(if $(LISTEN),--listen '$(LISTEN)') $(if $(NAMESPACE),--namespace '$(NAMESPACE)') $(or $(ENV),dev)

status: bin/wasmfleet ## which version of each filter runs where, since when, by whom [ENV=prod STATUSFLAGS=--registry]
	@bin/wasmfleet status $(STATUSFLAGS) $(ENV)

verify: bin/wasmfleet ## whether the proxies of a cluster run what an environment pins [ENV=prod VERIFYFLAGS='--timeout 120s']
	@bin/wasmfleet verify $(VERIFYFLAGS) $(or $(ENV),dev)

demo: tools-quiet bin/wasmfleet $(CRANE) $(patsubst %,build/%.wasm,$(FILTERS)) ## the whole way on this machine, in a copy of the tree
	@CRANE='$(CRANE)' scripts/demo.sh

## ---- tests and checks

test: build bin/wasmfleet $(KUSTOMIZE) $(CRANE) | tools-quiet ## unit, guest and real-Envoy tests
	@scripts/samples README.md docs/*.md
	@toolchain/browser.sh >/dev/null
	@go test -tags envoy ./internal/... ./tools/...
	@go test -tags envoy -count=1 -timeout 30m ./filters/... ./test/... # they run what Go's test cache does not see: make, Envoy, modules

ci: build bin/wasmfleet $(if $(wildcard .github/workflows),$(ACTIONLINT)) | tools-quiet ## what a pull request must pass: filters, examples, manifests, workflows [ON=Envoy's version]
	@toolchain/envoy.sh
	@$(ONENVOY) go test -tags envoy -count=1 ./filters/...
	@$(ONENVOY) go test -tags envoy -count=1 -run '^TestExamples$$' ./test/examples
	@bin/wasmfleet render --check
	@bin/wasmfleet preflight
	@$(if $(wildcard .github/workflows),$(ACTIONLINT))

# ON=version takes that Envoy for the filters, one of those of `make envoys`.
ONENVOY = $(if $(ON),ENVOY='$(TOOLS)/envoy-$(ON)/envoy')

examples: $(patsubst %,build/%.wasm,$(or $(FILTER),$(FILTERS))) | tools-quiet ## the examples of the filters, in a real Envoy [FILTER=x ON=Envoy's version]
	@$(ONENVOY) go test -tags envoy -count=1 -run '^TestExamples$$$(if $(FILTER),/^$(FILTER)$$)' ./test/examples

# The same environment and no flags everywhere, or the build cache is split and all of Istio compiles twice.
e2e: build bin/wasmfleet $(CRANE) $(DISTRIBUTION) ## images against Istio's own code and a real registry
	@bench/build.sh rust rustpruned gowasip1 sdkexample
	@cd bench && go test ./...
	@for m in test/policy test/e2e; do (cd "$$m" && CGO_ENABLED=0 go vet ./...) || exit; done
	@cd test/policy && CGO_ENABLED=0 go test -count=1 ./... # what Argo CD and the alerts are given
	@cd test/tokens && CGO_ENABLED=0 go test -count=1 ./... # jwtfetch with a real OpenID provider
	@cd test/e2e && CGO_ENABLED=0 go test -count=1 -timeout 45m ./internal/programs # builds them, before tests with clocks start
	@cd test/e2e && CGO_ENABLED=0 go test -count=1 -timeout 20m ./...

fork: build bin/wasmfleet $(KUSTOMIZE) $(CRANE) $(ACTIONLINT) $(GOLANGCI) | tools-quiet ## a fork that renames, deletes, adds and upgrades stays green
	@grep -qx 'REPO ?= ghcr.io/wasmfleet' Fork.mk || { echo 'fork: this is one. its story is told in the repository that it comes from' >&2; exit 0; }; \
		go test -tags envoy,fork -count=1 -timeout 60m ./test/repo ./test/fork

demo-gitops: build bin/wasmfleet $(CRANE) | tools-quiet ## git, Argo CD, Kubernetes, Istio and Envoy on this machine, narrated (the first time builds them: 10 minutes)
	@cd test/e2e && NARRATE=1 CGO_ENABLED=0 go test -count=1 -run TestLoop ./gitops

soak: build | tools-quiet ## the fault tests in their long form, on every Envoy of a supported Istio [SHORT=1: in their short form]
	@toolchain/envoy.sh
	@go test -tags $(if $(SHORT),,soak,)envoy -count=1 -timeout 90m ./internal/loadcheck
	@for v in $$(toolchain/envoy.sh --list); do echo "soak: Envoy $$v" >&2; ENVOY="$(TOOLS)/envoy-$$v/envoy" \
		go test -tags $(if $(SHORT),,soak,)envoy -count=1 -timeout 90m ./filters/... ./test/examples ./test/envoy || exit; done

bench: build bin/wasmfleet $(CRANE) $(KUSTOMIZE) | tools-quiet ## the filters, publish and render beside their peers [BENCHFLAGS=--write]
	@bench/build.sh
	@cd bench && go build -o build/ . ./publish ./render && build/bench $(BENCHFLAGS)
	@cd bench/publish/oras && go build -o ../../build/oras oras.land/oras/cmd/oras
	@cd bench && build/publish -crane '$(CRANE)' -oras "$$PWD/build/oras"
	@cd bench && build/render -kustomize '$(KUSTOMIZE)'

scale: build bin/wasmfleet | tools-quiet ## what a fleet costs istiod, the registry and this tree, for half an hour [SCALEFLAGS=--write]
	@cd test/e2e && CGO_ENABLED=0 go build -o ../../bench/build/istio ./scale
	@cd bench && go build -o build/ ./fleet ./scale
	@cd bench/build && ./istio istiod >scale.csv && ./istio registry >scale-rollout.csv && ./fleet --root ../.. >scale-filters.csv
	@cd bench && build/scale $(SCALEFLAGS)

check: build $(ACTIONLINT) $(GOLANGCI) bin/wasmfleet ## formatting, vet, linters, workflows, rendered manifests, configurations, clean tree
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "check: run gofmt -w $$files" >&2; exit 1; }
	@go vet ./... && go vet -tags envoy ./... && GOOS=darwin go vet -tags envoy ./... && cd bench && go vet ./...
	@$(GOLANGCI) run --allow-parallel-runners ./...
	@[ ! -d .github/workflows ] || { $(ACTIONLINT) && \
		toolchain/wheel.sh zizmor $(ZIZMOR_VERSION) zizmor-$(ZIZMOR_VERSION).data/scripts/zizmor .tools/zizmor-$(ZIZMOR_VERSION) $(ZIZMOR_SHA256) && \
		$(TOOLS)/zizmor-$(ZIZMOR_VERSION) -q --offline --no-progress --persona=auditor .github; }
	@toolchain/envoy.sh
	@bin/wasmfleet render --check
	@bin/wasmfleet preflight
	@bin/filterbuild -every-envoy lint $(patsubst %,build/%.wasm,$(FILTERS)) >/dev/null
	@for m in $$(git ls-files go.mod '*/go.mod' ':!*/testdata/*'); do (cd "$$(dirname "$$m")" && go mod tidy -diff) || { echo "check: run go mod tidy beside $$m" >&2; exit 1; }; done
	@test -z "$$(git status --porcelain)" || { echo 'check: these differences are not committed:' >&2; git status --short >&2; exit 1; }

pins: build bin/wasmfleet ## pin in every environment what this tree builds, without a registry
	@bin/wasmfleet publish --dry-run --repo '$(REPO)' --version '$(VERSION)' --refs '$(REFS)' $(FILTERS) >/dev/null
	@for env in $$(bin/wasmfleet environments); do $(MAKE) --no-print-directory promote TO=$$env REFS='$(REFS)' PROMOTEFLAGS='--unpublished --allow-loopback' || exit; done

clean: ## remove what was built; .tools/ stays
	@rm -rf build bin
