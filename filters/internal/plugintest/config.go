package plugintest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the .out of the fixtures in testdata/config/err")

// Config holds a filter's parser and its config.schema.json together by their fixtures:
//
//   - testdata/config/ok/<case>.json, and every block of json in README.md, passes both;
//   - testdata/config/err/<case>.json fails the parser with the message in <case>.out, which -update rewrites, and fails the schema too, unless
//     beyondSchema says why JSON Schema cannot know.
func Config(t *testing.T, parse func([]byte) error, beyondSchema map[string]string) {
	t.Parallel()
	validate := schema(t)

	for _, file := range fixtures(t, "ok") {
		t.Run("ok/"+caseName(file), func(t *testing.T) {
			data := read(t, file)
			require.NoError(t, parse(data))
			require.NoError(t, validate(data))
		})
	}
	for _, file := range fixtures(t, "err") {
		name := caseName(file)
		t.Run("err/"+name, func(t *testing.T) {
			data := read(t, file)
			err := parse(data)
			if *update {
				require.Error(t, err)
				require.NoError(t, os.WriteFile(strings.TrimSuffix(file, ".json")+".out", []byte(err.Error()+"\n"), 0o644))
			}
			want := strings.TrimSuffix(string(read(t, strings.TrimSuffix(file, ".json")+".out")), "\n")
			require.EqualError(t, err, want)
			if _, ok := beyondSchema[name]; ok {
				require.NoError(t, validate(data), "the schema knows this case: take it off the list")
			} else {
				require.Error(t, validate(data), "only the parser refuses this case")
			}
		})
	}
	for name := range beyondSchema {
		require.FileExists(t, filepath.Join("testdata", "config", "err", name+".json"))
	}
	for i, block := range jsonBlocks(read(t, "README.md")) {
		require.NoErrorf(t, parse(block), "README.md, block %d of json", i+1)
		require.NoErrorf(t, validate(block), "README.md, block %d of json", i+1)
	}
}

// FuzzConfig fuzzes a parser from the same fixtures. What the parser takes, the schema must take as well.
func FuzzConfig(f *testing.F, parse func([]byte) error) {
	for _, file := range append(fixtures(f, "ok"), fixtures(f, "err")...) {
		f.Add(read(f, file))
	}
	validate := schema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if parse(data) == nil {
			require.NoError(t, validate(data))
		}
	})
}

// schema compiles config.schema.json and returns its validation.
func schema(t testing.TB) func([]byte) error {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("config.schema.json")
	require.NoError(t, err)
	return func(data []byte) error {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return err
		}
		return s.Validate(document)
	}
}

func fixtures(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "config", folder, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no fixtures in testdata/config/%s", folder)
	return files
}

func caseName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".json") }

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return data
}

var jsonBlock = regexp.MustCompile("(?s)```json\n(.*?)```")

func jsonBlocks(markdown []byte) [][]byte {
	var blocks [][]byte
	for _, match := range jsonBlock.FindAllSubmatch(markdown, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}
