package main

import "math/rand/v2"

// randomNumber comes from the host, which TinyGo asks for each one.
func randomNumber() uint64 { return rand.Uint64() }
