# Every version of a tool that this repository builds or tests with. Go libraries are pinned in go.mod.

TINYGO_VERSION    := 0.41.1
LLVM_VERSION      := 19
BINARYEN_VERSION  := 108
# The libc that TinyGo links here, as Debian 12 ships it. Another libc, LLVM or binaryen may compile to other bytes, and so
# to another digest than the committed pins: that is said, not refused.
WASI_LIBC_SHA256  := b4d69bce4aba85f9e1014c57a583b1ea642d15fb95eb0a0b1314e0fd5880a767

# Envoy's versions and sums are in internal/istiocompat/envoys.txt.
ENVOY_VERSION     := $(shell toolchain/envoy.sh --next)

# Go programs, by package and version. They are built by `go install`, so Go's checksum database covers them.
KUSTOMIZE_VERSION := v5.8.1
KUSTOMIZE_PKG     := sigs.k8s.io/kustomize/kustomize/v5
CRANE_VERSION     := v0.21.6
CRANE_PKG         := github.com/google/go-containerregistry/cmd/crane
# The registry that the end-to-end tests push to.
REGISTRY_VERSION  := v3.0.0
REGISTRY_PKG      := github.com/distribution/distribution/v3/cmd/registry
ACTIONLINT_VERSION := v1.7.12
ACTIONLINT_PKG    := github.com/rhysd/actionlint/cmd/actionlint
# The wheels of the PyPI package zizmor: Linux x86-64, Linux arm64, macOS arm64.
ZIZMOR_VERSION    := 1.32.0
ZIZMOR_SHA256     := 84a6acb975accc13408786a2bd274b572537ca19c933ebbc13e78f3988562071 \
                     0cdd38fca6eb34ceb567548548d706332e3535ea66894b9168c048e03207b68c \
                     0a999c98015becd9f69919ce01febadfb1c2be9b8ec2ce9ef7eb13ff23ba8eba
GOLANGCI_VERSION  := v2.15.0
GOLANGCI_PKG      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
