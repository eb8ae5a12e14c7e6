// Command wasmfleet builds, checks and moves Envoy Wasm filters for Istio, from their modules to what runs in a cluster.
package main

import (
	"os"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/tools/adopt"
	"github.com/wasmfleet/wasmfleet/tools/canary"
	"github.com/wasmfleet/wasmfleet/tools/dev"
	"github.com/wasmfleet/wasmfleet/tools/diff"
	"github.com/wasmfleet/wasmfleet/tools/environments"
	"github.com/wasmfleet/wasmfleet/tools/history"
	initverb "github.com/wasmfleet/wasmfleet/tools/init"
	"github.com/wasmfleet/wasmfleet/tools/inspect"
	"github.com/wasmfleet/wasmfleet/tools/migrate"
	newverb "github.com/wasmfleet/wasmfleet/tools/new"
	"github.com/wasmfleet/wasmfleet/tools/preflight"
	"github.com/wasmfleet/wasmfleet/tools/promote"
	"github.com/wasmfleet/wasmfleet/tools/publish"
	"github.com/wasmfleet/wasmfleet/tools/render"
	"github.com/wasmfleet/wasmfleet/tools/reproduce"
	"github.com/wasmfleet/wasmfleet/tools/retire"
	"github.com/wasmfleet/wasmfleet/tools/rules"
	"github.com/wasmfleet/wasmfleet/tools/run"
	"github.com/wasmfleet/wasmfleet/tools/sbom"
	"github.com/wasmfleet/wasmfleet/tools/status"
	"github.com/wasmfleet/wasmfleet/tools/verify"
)

var program = cli.Program{
	Name: "wasmfleet",
	About: `GitOps for Envoy Wasm filters on Istio: images of filters, their pins in each environment, and the manifests that Argo CD syncs.
Make calls it; it works from any folder and in any repository of this shape (--dir, --filters).`,
	Verbs: []cli.Command{
		newverb.Command(),
		adopt.Command(),
		migrate.Command(),
		dev.Command(),
		publish.Command(),
		inspect.Command(),
		sbom.Command(),
		reproduce.Command(),
		promote.Command(),
		canary.Command(),
		retire.Command(),
		render.Command(),
		rules.Command(),
		diff.Command(),
		preflight.Command(),
		run.Command(),
		status.Command(),
		verify.Command(),
		history.Command(),
		environments.Command(),
		initverb.Command(),
	},
}

func main() { os.Exit(program.Main(os.Args[1:], os.Stdout, os.Stderr)) }
