# Whose this repository is: the registry host/path that images go to. make init sets it.
REPO ?= ghcr.io/wasmfleet
