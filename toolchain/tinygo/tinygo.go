//go:build tools

// Package tinygo pins the TinyGo compiler and its dependencies; toolchain/install.sh builds it from here.
package tinygo

import _ "github.com/tinygo-org/tinygo"
