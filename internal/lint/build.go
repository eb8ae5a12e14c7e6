package lint

import (
	"errors"
	"io/fs"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/crd"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// Build builds every environment in memory and applies the rules. Say is told hints; step, what comes next.
func Build(envs []manifests.Environment, filters []catalog.Filter, say func(format string, args ...any), step func(what string)) ([]*manifests.Result, []Finding, error) {
	for _, env := range envs {
		go crd.Prepare(env.Istio, plugin.APIs[0].APIVersion, plugin.APIs[0].Kind) // while kustomize builds
	}
	var results []*manifests.Result
	findings := []Finding{}
	for _, env := range envs {
		r, err := manifests.Build(env, filters, step)
		if err != nil {
			return nil, nil, classify(err)
		}
		found, hints, err := Check(r)
		if err != nil {
			return nil, nil, classify(err)
		}
		for _, h := range hints {
			say("%s", h)
		}
		results, findings = append(results, r), append(findings, found...)
	}
	return results, findings, nil
}

// classify makes a finding of what is wrong in the tree, and leaves a disk that fails alone.
func classify(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return cli.Finding("%w", err)
}
