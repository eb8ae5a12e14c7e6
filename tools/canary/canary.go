// Package canary is the verb that gives a share of the requests to another version of a filter, in each proxy, by plain manifests.
package canary

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// options are the flags.
type options struct {
	dir, filters, in    string
	image, refs, config string
	percent, key        string
	dryRun, loopback    bool
	wait                time.Duration
}

// steps are what may be done with a canary.
var steps = map[string]func(o options, s *state) error{"start": start, "set": set, "promote": promote, "abort": abort}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "canary",
		Title: "another version of a filter for a share of the requests, in each proxy",
		Args:  "start|set|promote|abort FILTER",
		About: `start writes canary-FILTER.yaml into the overlay of the environment: an EnvoyFilter that puts a split in place of each object's filter.
The canary's image is that of --image or --refs, or the one that the environment's upstream pins; its configuration is the stable one or
that of --config. A header decides who gets it (--key header:x-user: the same value always goes the same way), or each request is drawn
anew (--key request). A request without that header goes to the stable filter. set changes share or key; whoever is in stays in when the
share grows. promote pins the canary's image for all and takes the split out, abort takes it out. Each renders, refuses on findings, and
is one commit to review; a revert undoes it. The image of the next environment's promotion is the stable one.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters, for the rules of render")
			f.StringVar(&o.in, "in", "", "`environment` (required)")
			f.StringVar(&o.percent, "percent", "", "share of the requests, `0 to 100`, at most two decimals")
			f.StringVar(&o.key, "key", "", "what decides: request, or header:`name`")
			f.StringVar(&o.image, "image", "", "`reference` with digest of the canary's image")
			f.StringVar(&o.refs, "refs", "", "`file` with the references that publish printed")
			f.StringVar(&o.config, "config", "", "`file` with the canary's pluginConfig, YAML or JSON")
			f.BoolVar(&o.dryRun, "dry-run", false, "print what would change, and findings; write nothing")
			f.BoolVar(&o.loopback, "allow-loopback", false, "take an image of a registry on this machine, which no cluster finds, beyond the first environment")
			f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for another command that writes to the manifests")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 2 || steps[args[0]] == nil {
				return cli.Usage("want start, set, promote or abort, and a filter")
			}
			if o.in == "" {
				return cli.Usage("--in is required")
			}
			return run(ctx, o, args[0], args[1], stdout, stderr)
		},
	}
}

// state is the environment before the step, and after it, in memory.
type state struct {
	filter   string
	before   *manifests.Result
	stable   []manifests.Plugin
	canaries []manifests.Canary
	sources  *catalog.Filter // nil when there are none of it here
	next     manifests.Environment
	gone     string // the file to remove
	said     string
}

func run(ctx context.Context, o options, step, filter string, stdout, stderr io.Writer) error {
	if _, err := manifests.Load(o.dir, o.in); err != nil {
		return err
	}
	unlock, err := manifests.Lock(ctx, o.dir, o.wait, stderr)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := read(o, filter, stderr)
	if err != nil {
		return err
	}
	if err := steps[step](o, s); err != nil {
		return err
	}
	return s.write(ctx, o, stdout, stderr)
}

func read(o options, filter string, stderr io.Writer) (*state, error) {
	env, err := manifests.Load(o.dir, o.in)
	if err != nil {
		return nil, err
	}
	filters, err := catalog.Load(o.filters)
	if err != nil {
		return nil, err
	}
	bar := cli.NewProgress(stderr)
	defer bar.End()
	before, err := manifests.Build(env, filters, bar.Step)
	if err != nil {
		return nil, cli.Finding("%w", err)
	}
	if before.Undecoded != nil {
		return nil, cli.Finding("%s: %w", env.Dir, before.Undecoded)
	}
	s := &state{filter: filter, before: before, next: env}
	for i := range filters {
		if filters[i].Name == filter {
			s.sources = &filters[i]
		}
	}
	for _, p := range before.Plugins {
		if manifests.FilterOf(p.Spec.Url) == filter {
			s.stable = append(s.stable, p)
		}
	}
	if len(s.stable) == 0 {
		return nil, cli.Usage("nothing in %s deploys filter %q", env.Dir, filter)
	}
	for _, c := range before.Canaries() {
		if c.Err == nil && c.Filter() == filter {
			s.canaries = append(s.canaries, c)
		}
	}
	return s, nil
}

func start(o options, s *state) error {
	env := s.next
	if _, err := env.Read(env.CanaryFile(s.filter)); err == nil || len(s.canaries) > 0 {
		return cli.Finding("%s: %s has a canary. use set, promote or abort", env.CanaryFile(s.filter), s.filter)
	}
	if o.percent == "" || o.key == "" {
		return cli.Usage("start wants --percent and --key")
	}
	ref, err := chosen(o, env, s.filter)
	if err != nil {
		return err
	}
	if ref.Loopback() && !env.Entry() && !o.loopback {
		return cli.Finding("%s is in a registry on this machine, which no cluster finds. publish it to a real one, or use --allow-loopback", ref)
	}
	config, err := readConfig(o.config)
	if err != nil {
		return err
	}
	if config == nil && slices.ContainsFunc(s.stable, func(p manifests.Plugin) bool { return p.Spec.Url == url(ref) }) {
		return cli.Finding("%s already runs %s for all. give the canary another image, or --config", env.Name, ref)
	}
	var all []*plugin.Canary
	for _, p := range s.stable {
		all = append(all, &plugin.Canary{Plugin: p.With(url(ref), config)})
	}
	return s.writeCanaries(o, all)
}

func set(o options, s *state) error {
	if err := s.running(); err != nil {
		return err
	}
	if o.image != "" || o.refs != "" || o.config != "" {
		return cli.Usage("set changes --percent and --key. for another image or configuration, abort and start")
	}
	var all []*plugin.Canary
	for _, c := range s.canaries {
		all = append(all, c.Canary)
	}
	return s.writeCanaries(o, all)
}

func promote(_ options, s *state) error {
	if err := s.running(); err != nil {
		return err
	}
	for _, c := range s.canaries {
		if !proto.Equal(c.Plugin.Spec.PluginConfig, c.Stable.Spec.PluginConfig) {
			config, err := plugin.Configuration(c.Plugin.Spec.PluginConfig)
			if err != nil {
				return err
			}
			return cli.Finding("%s: the canary runs with another pluginConfig than %s. write it into the overlay first, then promote: %s", s.next.CanaryFile(s.filter), c.Stable, config)
		}
	}
	ref, err := image.ParseRef(strings.TrimPrefix(s.canaries[0].Plugin.Spec.Url, "oci://"))
	if err != nil {
		return cli.Finding("%s: %w", s.next.CanaryFile(s.filter), err)
	}
	if err := abort(options{}, s); err != nil {
		return err
	}
	facts, err := factsOf(s.next, ref.Digest, s.sources)
	if err != nil {
		return err
	}
	if s.next, err = s.next.WithFacts(facts); err != nil {
		return err
	}
	if s.next, err = s.next.WithPins(manifests.Pins{s.filter: ref}); err != nil {
		return err
	}
	s.said = fmt.Sprintf("%s: %s: canary promoted: %s", s.next.Name, s.filter, ref)
	return nil
}

// factsOf are those of the upstream's pin, where it has that image; otherwise those of the sources, as of what was just published.
func factsOf(env manifests.Environment, digest string, sources *catalog.Filter) (map[string]manifests.ModuleFacts, error) {
	if !env.Entry() {
		upstream, err := manifests.Load(env.Manifests, env.Upstream)
		if err != nil {
			return nil, err
		}
		known, err := upstream.Facts()
		if err != nil {
			return nil, err
		}
		if facts, ok := known[digest]; ok {
			return map[string]manifests.ModuleFacts{digest: facts}, nil
		}
	}
	if sources == nil {
		return nil, nil
	}
	return map[string]manifests.ModuleFacts{digest: manifests.FactsOf(*sources)}, nil
}

func abort(_ options, s *state) (err error) {
	if err := s.running(); err != nil {
		return err
	}
	s.gone = s.next.CanaryFile(s.filter)
	s.next, err = s.next.WithoutCanary(s.filter)
	s.said = fmt.Sprintf("%s: %s: canary aborted", s.next.Name, s.filter)
	return err
}

func (s *state) running() error {
	if _, err := s.next.Read(s.next.CanaryFile(s.filter)); errors.Is(err, fs.ErrNotExist) || len(s.canaries) == 0 {
		return cli.Finding("%s: no canary of %s runs in %s. start one", s.next.CanaryFile(s.filter), s.filter, s.next.Name)
	}
	return nil
}

// writeCanaries puts the objects into the environment, with the share and the key of the flags where they are given.
func (s *state) writeCanaries(o options, all []*plugin.Canary) error {
	var content bytes.Buffer
	fmt.Fprintln(&content, "# A share of the requests for another version of this filter. Written by wasmfleet canary, which is also what changes it.")
	for i, c := range all {
		if o.percent != "" {
			percent, err := plugin.ParsePercent(o.percent)
			if err != nil {
				return cli.Usage("--percent: %w", err)
			}
			c.Percent = percent
		}
		if o.key != "" {
			key, err := plugin.ParseKey(o.key)
			if err != nil {
				return cli.Usage("--key: %w", err)
			}
			c.Key = key
		}
		object, err := c.Object(s.next.Mesh())
		if err != nil {
			return err
		}
		text, err := yaml.JSONToYAML(object)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(&content, "---")
		}
		content.Write(text)
	}
	c := all[0]
	s.said = fmt.Sprintf("%s: %s: %v %% of the requests by %s: %s", s.next.Name, s.filter, c.Percent, c.Key, strings.TrimPrefix(c.Plugin.Spec.Url, "oci://"))
	var err error
	s.next, err = s.next.WithCanary(s.filter, content.Bytes())
	return err
}

func url(ref image.Ref) string { return "oci://" + ref.String() }

// chosen is the canary's image.
func chosen(o options, env manifests.Environment, filter string) (image.Ref, error) {
	var pins manifests.Pins
	from := o.refs
	switch {
	case o.image != "" && o.refs != "":
		return image.Ref{}, cli.Usage("--image and --refs both say which image. give one")
	case o.image != "":
		ref, err := image.ParseRef(strings.TrimPrefix(o.image, "oci://"))
		if err != nil {
			return ref, cli.Usage("--image: %w", err)
		}
		if ref.Filter() != filter {
			return ref, cli.Usage("--image %s is of filter %q, not of %q", ref, ref.Filter(), filter)
		}
		return ref, nil
	case o.refs != "":
		var err error
		if pins, err = manifests.ReadRefs(o.refs, false); err != nil {
			return image.Ref{}, err
		}
	case env.Entry():
		return image.Ref{}, cli.Usage("%s has no upstream: say which image with --image or --refs", env.Name)
	default:
		upstream, err := manifests.Load(env.Manifests, env.Upstream)
		if err != nil {
			return image.Ref{}, err
		}
		if pins, err = upstream.Pins(); err != nil {
			return image.Ref{}, err
		}
		from = upstream.PinsFile()
	}
	ref, ok := pins[filter]
	if !ok {
		return ref, cli.Finding("%s: no image of %s. publish it, or promote it there first", from, filter)
	}
	if env.Registry != "" {
		ref.Repo = env.Registry + "/" + filter
	}
	return ref, nil
}

// readConfig reads a pluginConfig; nil when there is no file.
func readConfig(file string) (*structpb.Struct, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, cli.Finding("%s: %w", file, err)
	}
	config := &structpb.Struct{}
	if err := protojson.Unmarshal(data, config); err != nil {
		return nil, cli.Finding("%s: want an object: %w", file, err)
	}
	return config, nil
}

// write renders the environment after the step, refuses on findings, and writes what changed.
func (s *state) write(ctx context.Context, o options, stdout, stderr io.Writer) error {
	results, findings, err := lint.BuildFor("canary", []manifests.Environment{s.next}, o.filters, stderr)
	if err != nil {
		return fmt.Errorf("%w. nothing was written", err)
	}
	for _, f := range findings {
		fmt.Fprintln(stderr, f)
	}
	r := results[0]
	switch {
	case lint.Failing(findings):
		return cli.Finding("%s would have findings. nothing was written", s.next.Name)
	case o.dryRun:
		fmt.Fprintln(stderr, "canary: --dry-run: nothing was written")
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		if err := s.next.Save(); err != nil {
			return err
		}
		if s.gone != "" {
			if err := os.Remove(s.gone); err != nil {
				return err
			}
		}
		if err := r.Write(); err != nil {
			return fmt.Errorf(`%s: the overlay is written, the rendered manifests are not: %w. run "make render ENV=%[1]s"`, s.next.Name, err)
		}
	}
	_, err = fmt.Fprintln(stdout, s.said)
	return err
}
