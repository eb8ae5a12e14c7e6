package canary

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

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
	s.images = []image.Ref{ref}
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
	s.images = []image.Ref{ref}
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
