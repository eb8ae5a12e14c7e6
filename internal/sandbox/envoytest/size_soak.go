//go:build soak

package envoytest

const long = true
