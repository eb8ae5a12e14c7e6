package publish

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/registry"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// job is one filter on its way: everything about it is known and checked before the first request.
type job struct {
	filter catalog.Filter
	module []byte
	image  v1.Image
	tag    name.Tag
}

// newJobs reads every filter, side by side: validating the module is most of the work before the first request.
func newJobs(o options, args []string) ([]job, error) {
	jobs := make([]job, len(args))
	errs := make([]error, len(args))
	var group errgroup.Group
	group.SetLimit(registry.Parallel)
	for i, arg := range args {
		group.Go(func() error {
			jobs[i], errs[i] = newJob(o, arg)
			return nil
		})
	}
	_ = group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err // the first by position, not by time
		}
	}
	return jobs, nil
}

// newJob reads the filter that arg names: a folder of the catalog with its compiled module, or a module with a plugin.yaml
// beside it.
func newJob(o options, arg string) (job, error) {
	var j job
	var err error
	modulePath := filepath.Join(o.build, arg+".wasm")
	if strings.HasSuffix(arg, ".wasm") {
		modulePath = arg
		j.filter, err = catalog.Read(filepath.Join(filepath.Dir(arg), catalog.File))
	} else {
		j.filter, err = catalog.Find(o.filters, arg)
	}
	if err != nil {
		return j, err
	}
	repo := strings.TrimSuffix(o.repo, "/") + "/" + j.filter.Name
	if j.tag, err = name.NewTag(repo+":"+o.version, o.nameOptions()...); err != nil {
		return j, cli.Usage("%s:%s is no image reference: %w", repo, o.version, err)
	}
	if j.module, err = os.ReadFile(modulePath); err != nil {
		return j, fmt.Errorf("%w. run \"make build FILTER=%s\"", err, j.filter.Name)
	}
	m, err := wasmfile.Read(j.module)
	if err != nil {
		return j, cli.Finding("%s: %w", modulePath, err)
	}
	if findings := wasmfile.LintFor(m, j.filter.Istio, j.filter.Limit()); len(findings) > 0 {
		return j, cli.Finding("%s: %s", modulePath, strings.Join(findings, "; "))
	}
	j.image, err = image.BuildRead(j.module, m, j.filter, o.form)
	return j, err
}

// ref is what the image is called; its digest is known before it is pushed.
func (j job) ref() (image.Ref, error) {
	digest, err := j.image.Digest()
	return image.Ref{Repo: j.tag.Repository.Name(), Tag: j.tag.TagStr(), Digest: digest.String()}, err
}

// blobsOf are the image's blobs by digest: layers and config, each once.
func blobsOf(img v1.Image) (map[v1.Hash][]byte, error) {
	blobs := map[v1.Hash][]byte{}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	h, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	blobs[h] = config
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			return nil, err
		}
		r, err := l.Compressed()
		if err != nil {
			return nil, err
		}
		if blobs[h], err = io.ReadAll(r); err != nil {
			return nil, err
		}
		r.Close()
	}
	return blobs, nil
}
