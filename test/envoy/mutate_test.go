//go:build envoy

package envoy

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// Mutated configurations come while requests are served. Each is refused with a reason, and what served before serves on: the
// filter's example holds in the end as it did at first.
func TestMutatedConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	filters := shownFilters(t)
	for _, f := range filters {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			s := f.start(t)
			_, err := s.All(t.Context()) // what the last one is answered may depend on those before
			require.NoError(t, err)
			mutant := newMutator(t, f)
			reasons := map[string]bool{}
			digits := regexp.MustCompile(`\d+`)
			served := 0
			n := mutatedConfigurations / len(filters)
			for range n {
				bad := s.Filter
				bad.Plugin = envoytest.Plugin(t, f.Name, "{}")
				bad.Plugin.Namespace = s.Filter.Plugin.Namespace
				bad.Plugin.Spec.PluginConfig = mutant.next()
				refused, err := s.Proxy.Apply(t.Context(), []sandbox.Filter{bad}, nil)
				require.NoError(t, err)
				require.Len(t, refused, 1, "not refused: %.1000v", bad.Plugin.Spec.PluginConfig)
				require.NotEqual(t, "Envoy gives no reason", refused[0].Reason, "%.1000v", bad.Plugin.Spec.PluginConfig)
				reasons[digits.ReplaceAllString(refused[0].Reason, "0")] = true
				if served%10 == 0 {
					require.NoError(t, s.Last(t.Context()))
				}
				served++
			}
			require.NoError(t, s.Last(t.Context()))
			t.Logf("%d configurations refused for %d reasons", n, len(reasons))
			require.Greater(t, len(reasons), 5)
		})
	}
}

// mutator makes configurations that a filter must refuse out of those that it takes. It is deterministic.
type mutator struct {
	t      *testing.T
	good   [][]byte
	schema *jsonschema.Schema
	random *rand.Rand
	seen   map[string]bool
}

// newMutator takes the configurations of the filter's examples and of its fixtures.
func newMutator(t *testing.T, f shown) *mutator {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.Dir, "testdata/config/ok/*.json"))
	require.NoError(t, err)
	m := &mutator{t: t, random: rand.New(rand.NewPCG(1, 2)), seen: map[string]bool{}}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		m.good = append(m.good, data)
	}
	for _, e := range f.examples {
		data, err := json.Marshal(e.Config)
		require.NoError(t, err)
		m.good = append(m.good, data)
	}
	m.schema, err = jsonschema.NewCompiler().Compile(filepath.Join(f.Dir, "config.schema.json"))
	require.NoError(t, err)
	return m
}

// next returns a configuration that was not there before and that the schema refuses.
func (m *mutator) next() *structpb.Struct {
	m.t.Helper()
	for range 10_000 {
		var document map[string]any
		require.NoError(m.t, json.Unmarshal(m.good[m.random.IntN(len(m.good))], &document))
		for range 1 + m.random.IntN(3) {
			m.mutate(document)
		}
		data, err := json.Marshal(document)
		require.NoError(m.t, err)
		parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		require.NoError(m.t, err)
		// An empty configuration is none, which is another test.
		if m.seen[string(data)] || len(document) == 0 || m.schema.Validate(parsed) == nil {
			continue
		}
		m.seen[string(data)] = true
		config, err := structpb.NewStruct(document)
		require.NoError(m.t, err)
		return config
	}
	m.t.Fatal("no more mutations")
	return nil
}

// mutate changes one member of an object in the document.
func (m *mutator) mutate(object map[string]any) {
	names := slices.Sorted(maps.Keys(object))
	if len(names) == 0 || m.random.IntN(8) == 0 {
		object[pick(m.random, "x", "Name", "$ref", "", "a/b~c", "\x00", "ä", strings.Repeat("n", 300))] = m.value()
		return
	}
	name := names[m.random.IntN(len(names))]
	if inner, ok := object[name].(map[string]any); ok && m.random.IntN(4) > 0 {
		m.mutate(inner)
		return
	}
	switch m.random.IntN(4) {
	case 0:
		delete(object, name)
	case 1:
		object[strings.ToUpper(name)] = object[name]
	case 2:
		if s, ok := object[name].(string); ok {
			at := m.random.IntN(len(s) + 1)
			// A Struct is UTF-8 throughout.
			object[name] = strings.ToValidUTF8(s[:at]+pick(m.random, "\r\n", "\x00", "ä", " ", "\t", strings.Repeat("x", 9000), "\u2028", "#", ":", "\x7f")+s[at:], "?")
			return
		}
		fallthrough
	default:
		object[name] = m.value()
	}
}

func (m *mutator) value() any {
	return pick[any](m.random, nil, true, false, 0, -1, 0.5, 1e300, 65536, 1<<53, "", " ", "x\r\ny: z", "\x00", ":path", "host", "1s", "0s", "-1s", "9999999h",
		[]any{}, []any{"a"}, map[string]any{}, map[string]any{"a": map[string]any{}}, strings.Repeat("[", 100), strings.Repeat("v", 9000))
}

func pick[T any](random *rand.Rand, values ...T) T { return values[random.IntN(len(values))] }
