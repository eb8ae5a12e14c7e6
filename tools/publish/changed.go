package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/registry"
)

// changed prints the filters whose image is not the one that the environments pin where images enter, or is not in the registry.
func (p publisher) changed(ctx context.Context, dir string, jobs []job, stdout io.Writer) error {
	entries, err := entryPins(dir)
	if err != nil {
		return err
	}
	changed := map[string]bool{}
	var pinned []job
	for _, j := range jobs {
		ref, err := j.ref()
		if err != nil {
			return err
		}
		pins := func(pins manifests.Pins) bool { return pins[j.filter.Name].Digest != "" }
		if j.filter.Optional && !slices.ContainsFunc(entries, pins) {
			continue // nobody has asked for it
		}
		for _, pins := range entries {
			changed[j.filter.Name] = changed[j.filter.Name] || pins[j.filter.Name].Digest != ref.Digest
		}
		if !changed[j.filter.Name] {
			pinned = append(pinned, j)
		}
	}
	if err := p.absent(ctx, pinned, changed); err != nil {
		return err
	}
	for _, j := range jobs {
		if changed[j.filter.Name] {
			fmt.Fprintln(stdout, j.filter.Name)
		}
	}
	return nil
}

// entryPins are the pins of the environments where published images enter.
func entryPins(dir string) (entries []manifests.Pins, err error) {
	envs, err := manifests.All(dir)
	if err != nil {
		return nil, err
	}
	for _, env := range envs {
		if !env.Entry() {
			continue
		}
		pins, err := env.Pins()
		if err != nil {
			return nil, err
		}
		entries = append(entries, pins)
	}
	return entries, nil
}

// absent notes the filters whose image is not in the registry.
func (p publisher) absent(ctx context.Context, jobs []job, absent map[string]bool) error {
	if len(jobs) == 0 {
		return nil
	}
	r, host, err := p.login(ctx, jobs, transport.PullScope)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		digest, err := j.image.Digest()
		if err != nil {
			return err
		}
		_, err = remote.Head(j.tag.Digest(digest.String()), r.Options(ctx)...)
		var answer *transport.Error
		switch {
		case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
			absent[j.filter.Name] = true
		case err != nil:
			return fmt.Errorf("asking for %s: %w", j.tag.Repository, registry.Explain(host, err))
		}
	}
	return nil
}
