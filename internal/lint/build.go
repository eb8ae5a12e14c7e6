package lint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/crd"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// Load is Build for a verb of the command line: of the environments of these names, or of all, with the filters of a folder. Hints and
// progress go to stderr.
func Load(verb, dir, filters string, names []string, stderr io.Writer) ([]*manifests.Result, []Finding, error) {
	envs, err := manifests.LoadAll(dir, names)
	if err != nil {
		return nil, nil, err
	}
	return BuildFor(verb, envs, filters, stderr)
}

// BuildFor is Build for a verb that has its environments.
func BuildFor(verb string, envs []manifests.Environment, filters string, stderr io.Writer) ([]*manifests.Result, []Finding, error) {
	known, err := catalog.Load(filters)
	if err != nil {
		return nil, nil, err
	}
	bar := cli.NewProgress(stderr)
	defer bar.End()
	return Build(envs, known, func(format string, args ...any) { fmt.Fprintf(stderr, verb+": "+format+"\n", args...) }, bar.Step)
}

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
