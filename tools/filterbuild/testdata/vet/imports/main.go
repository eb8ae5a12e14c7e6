package main

import (
	_ "encoding/json"
	_ "fmt"
	_ "net/http"

	_ "github.com/wasmfleet/wasmfleet/internal/istiocompat"
)

func main() {}
