package envoy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
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

// Mutated configurations come while requests are served. Each is refused with a reason, and what served before serves on.
func TestMutatedConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	good := map[string]sandbox.Filter{
		"addheader": addheader(t, `{name: hello, value: world}`),
		"jwtfetch":  jwtfetch(t, oauth),
	}
	p := envoytest.Start(t, envoytest.Setup{
		Filters:  envoytest.Chain(good["jwtfetch"], good["addheader"]),
		Services: tokens,
		Backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.Header.Get("authorization"), "Bearer ") {
				http.Error(w, "no token", http.StatusUnauthorized)
			}
		}),
	})
	p.WhenServing()
	tr := p.Traffic(2, "/", func(a envoytest.Answer) error {
		if got := a.Header.Values("hello"); !slices.Equal(got, []string{"world"}) {
			return fmt.Errorf("the header is %q", got)
		}
		return envoytest.OK(a)
	})
	reasons := map[string]bool{}
	digits := regexp.MustCompile(`\d+`)
	mutants := map[string]*mutator{"addheader": newMutator(t, "addheader"), "jwtfetch": newMutator(t, "jwtfetch")}
	for i := range mutatedConfigurations {
		name := []string{"addheader", "jwtfetch", "jwtfetch"}[i%3]
		config := mutants[name].next()
		bad := map[string]sandbox.Filter{}
		maps.Copy(bad, good)
		f := good[name]
		f.Plugin = envoytest.Plugin(t, name, "{}")
		f.Plugin.Spec.PluginConfig = config
		bad[name] = f
		reason := p.Refuses(bad["jwtfetch"], bad["addheader"])
		require.Regexp(t, "^"+name+`: parsing plugin configuration: .+`, reason, "%.1000v", config)
		reasons[digits.ReplaceAllString(reason, "0")] = true
	}
	tr.AtLeast(100)
	tr.Stop()
	t.Logf("%d configurations refused for %d reasons, %d requests served", mutatedConfigurations, len(reasons), tr.Requests())
	require.Greater(t, len(reasons), 20)
	p.NeverTrapped()
}

// mutator makes configurations that a filter must refuse out of those that it takes. It is deterministic.
type mutator struct {
	t      *testing.T
	good   [][]byte
	schema *jsonschema.Schema
	random *rand.Rand
	seen   map[string]bool
}

func newMutator(t *testing.T, filter string) *mutator {
	t.Helper()
	dir := filepath.Join(root, "filters", filter)
	files, err := filepath.Glob(filepath.Join(dir, "testdata/config/ok/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	m := &mutator{t: t, random: rand.New(rand.NewPCG(1, 2)), seen: map[string]bool{}}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		m.good = append(m.good, data)
	}
	m.schema, err = jsonschema.NewCompiler().Compile(filepath.Join(dir, "config.schema.json"))
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
