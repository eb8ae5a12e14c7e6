# One way through: build -> publish -> promote -> render -> (Argo CD syncs). `make help` lists the targets.
include Tools.mk

# make init sets this.
REPO ?= ghcr.io/wasmfleet

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
.PHONY: help tools envoys build test e2e soak bench check publish init login promote render diff run demo demo-gitops pins clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## ---- toolchain

INSTALL = $(foreach v,TINYGO_VERSION LLVM_VERSION BINARYEN_VERSION ENVOY_VERSION ENVOY_SHA256,$(v)='$($(v))') \
	TINYGO='$(TINYGO)' ENVOY='$(ENVOY)' toolchain/install.sh

tools: ## the pinned toolchain into .tools/
	@$(INSTALL)

envoys: ## an Envoy for each supported Istio into .tools/, for check and soak
	@test/envoy/versions.sh

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

# Our own tools. filterbuild has fewer sources than the others: every filter is built anew when it changes.
go_sources = $(shell find $(1) -name '*.go' -not -name '*_test.go' -not -path '*/testdata/*') go.mod go.sum
bin/filterbuild: $(call go_sources,tools/filterbuild internal/cli internal/catalog internal/wasmfile internal/atomicfile internal/istiocompat)
	@go build -trimpath -o $@ ./tools/filterbuild
bin/%: $(call go_sources,tools internal)
	@go build -trimpath -o $@ ./tools/$*

## ---- build: filterbuild is the only caller of tinygo and wasm-opt, and knows what a module is made of

# c-shared: _initialize runs init() and returns; the default mode exits, which Envoy refuses. See RATIONALE.md.
TINYGOFLAGS := -target=wasip1 -buildmode=c-shared -scheduler=none -gc=precise -opt=z -panic=trap
FILTERBUILD = bin/filterbuild -tinygoflags '$(TINYGOFLAGS)'

build: bin/filterbuild | tools-quiet ## build/<filter>.wasm from filters/<filter> [FILTER=x]
	@$(FILTERBUILD) build $(or $(FILTER),$(FILTERS))

build/%.wasm: bin/filterbuild FORCE | tools-quiet
	@$(FILTERBUILD) build $* >/dev/null

.PHONY: FORCE
FORCE:

## ---- publish, promote, render: see the tools' -h

# What publish printed last, for promote.
REFS ?= build/refs

publish: build bin/publish ## push images to REPO, print their references [FILTER=x REPO=host/path VERSION=v PUBLISHFLAGS=…]
	@bin/publish --repo '$(REPO)' --version '$(VERSION)' --refs '$(REFS)' $(PUBLISHFLAGS) $(or $(FILTER),$(FILTERS))

init: bin/initfork bin/render ## a fork's own registry and repository, everywhere [OWNER=name REGISTRY=host/path REPOSITORY=url]
	@bin/initfork --owner '$(OWNER)' $(if $(REGISTRY),--registry '$(REGISTRY)') $(if $(REPOSITORY),--repository '$(REPOSITORY)')
	@bin/render

login: $(CRANE) ## keep credentials for REPO's registry, as docker login does; the password comes from stdin [USERNAME=name]
	@$(CRANE) auth login '$(firstword $(subst /, ,$(REPO)))' --username '$(USERNAME)' --password-stdin

promote: bin/promote bin/render ## pin in TO what was published, or what TO's upstream runs, and render it [TO=staging FILTER=x]
	@bin/promote $(if $(shell grep -s '^upstream: none' 'manifests/overlays/$(TO)/environment.yaml'),--refs '$(REFS)') --to '$(TO)' $(PROMOTEFLAGS) $(FILTER)

render: bin/render ## manifests/rendered/<env> from the overlays [ENV=prod]
	@bin/render $(ENV)

diff: bin/render ## what a reviewer wants to see, as Markdown: rendered manifests against those of a commit [BASE=origin/main]
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && git archive '$(or $(BASE),HEAD)' manifests/rendered | tar -x -C "$$dir" && \
		bin/render --diff "$$dir/manifests/rendered" --format markdown

run: bin/run $(patsubst %,build/%.wasm,$(FILTERS)) | tools-quiet ## a real Envoy with the rendered configuration, until ^C [ENV=dev LISTEN=127.0.0.1:8080]
	@bin/run $(if $(LISTEN),--listen '$(LISTEN)') $(or $(ENV),dev)

demo: tools-quiet bin/publish bin/promote bin/render bin/run $(CRANE) $(patsubst %,build/%.wasm,$(FILTERS)) ## the whole way on this machine, in a copy of the tree
	@CRANE='$(CRANE)' scripts/demo.sh

## ---- tests and checks

test: build bin/publish $(KUSTOMIZE) $(CRANE) | tools-quiet ## unit, guest and real-Envoy tests
	@go test ./internal/... ./tools/...
	@go test -tags envoy -count=1 ./filters/...
	@go test -count=1 ./test/... # they run what Go's test cache does not see: make, Envoy, modules

# The same environment and no flags everywhere, or the build cache is split and all of Istio compiles twice.
e2e: build bin/publish $(CRANE) $(DISTRIBUTION) ## images against Istio's own code and a real registry
	@bench/build.sh rust gowasip1
	@cd bench && go test ./...
	@cd test/policy && CGO_ENABLED=0 go test -count=1 ./... # what Argo CD and the alerts are given
	@cd test/e2e && CGO_ENABLED=0 go test -count=1 -timeout 45m ./internal/programs # builds them, before tests with clocks start
	@cd test/e2e && CGO_ENABLED=0 go test -count=1 -timeout 20m ./...

demo-gitops: build bin/publish $(CRANE) | tools-quiet ## git, Argo CD, Kubernetes, Istio and Envoy on this machine, narrated (the first time builds them: 10 minutes)
	@cd test/e2e && NARRATE=1 CGO_ENABLED=0 go test -count=1 -run TestLoop ./gitops

soak: build | tools-quiet ## the fault tests in their long form, on every Envoy of a supported Istio
	@test/envoy/versions.sh
	@go test -tags soak,envoy -count=1 -timeout 60m ./filters/... ./test/envoy

bench: build bin/publish bin/render $(CRANE) $(KUSTOMIZE) | tools-quiet ## the filters, publish and render beside their peers [BENCHFLAGS=--write]
	@bench/build.sh
	@cd bench && go build -o build/ . ./publish ./render && build/bench $(BENCHFLAGS)
	@cd bench/publish/oras && go build -o ../../build/oras oras.land/oras/cmd/oras
	@cd bench && build/publish -crane '$(CRANE)' -oras "$$PWD/build/oras"
	@cd bench && build/render -kustomize '$(KUSTOMIZE)'

check: build $(ACTIONLINT) $(GOLANGCI) bin/render ## formatting, vet, linters, workflows, rendered manifests, configurations, clean tree
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "check: run gofmt -w $$files" >&2; exit 1; }
	@go vet -tags envoy ./... && cd bench && go vet ./...
	@$(GOLANGCI) run --allow-parallel-runners ./...
	@$(ACTIONLINT)
	@toolchain/wheel.sh zizmor $(ZIZMOR_VERSION) zizmor-$(ZIZMOR_VERSION).data/scripts/zizmor .tools/zizmor-$(ZIZMOR_VERSION) $(ZIZMOR_SHA256)
	@$(TOOLS)/zizmor-$(ZIZMOR_VERSION) -q --offline --no-progress --persona=auditor .github
	@test/envoy/versions.sh
	@bin/render --check --preflight
	@go mod tidy -diff
	@test -z "$$(git status --porcelain)" || { echo 'check: these differences are not committed:' >&2; git status --short >&2; exit 1; }

pins: build bin/publish bin/promote bin/render ## pin in every environment what this tree builds, without a registry
	@bin/publish --dry-run --repo '$(REPO)' --version '$(VERSION)' --refs '$(REFS)' $(FILTERS) >/dev/null
	@bin/promote --refs '$(REFS)' --to dev && bin/promote --to staging && bin/promote --to prod && bin/render

clean: ## remove what was built; .tools/ stays
	@rm -rf build bin
