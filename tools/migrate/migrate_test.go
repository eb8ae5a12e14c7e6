package migrate_test

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/migrate"
	"github.com/wasmfleet/wasmfleet/tools/render"
)

func TestMain(m *testing.M) { scripttest.Main(m, migrate.Command(), render.Command()) }

// Each script has the tree of testdata/tree.txtar, and $HOST, a registry that has team/demo:v1.
func TestScripts(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	img, err := random.Image(64, 1)
	require.NoError(t, err)
	tag, err := name.NewTag(host + "/team/demo:v1")
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, img))
	tree, err := txtar.ParseFile("testdata/tree.txtar")
	require.NoError(t, err)
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOST", host)
			e.Setenv("HOME", e.WorkDir)
			for _, f := range tree.Files {
				path := filepath.Join(e.WorkDir, f.Name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(path, f.Data, 0o644); err != nil {
					return err
				}
			}
			for _, module := range []string{"ok-abi-two", "abi-missing"} {
				content, err := os.ReadFile("../../internal/wasmfile/testdata/lint/" + module + ".wasm")
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(e.WorkDir, module+".wasm"), content, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"env-in": replaceHost},
	})
}

// replaceHost FILE puts the registry's host where the file says HOST.
func replaceHost(ts *testscript.TestScript, _ bool, args []string) {
	file := filepath.Join(ts.Getenv("WORK"), args[0])
	text, err := os.ReadFile(file)
	ts.Check(err)
	ts.Check(os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "HOST", ts.Getenv("HOST"))), 0o644))
}

// What render has made of an environment, in each API, is read back to the same: the bytes of the WasmPlugins are equal.
func TestRoundTrip(t *testing.T) {
	const fleet = "../../test/clone/testdata/fleet/manifests"
	for _, api := range plugin.Kinds() {
		t.Run(api, func(t *testing.T) {
			from, to := filepath.Join(t.TempDir(), "manifests"), filepath.Join(t.TempDir(), "manifests")
			require.NoError(t, os.CopyFS(from, os.DirFS(fleet)))
			for _, dir := range []string{from, to} {
				require.NoError(t, os.CopyFS(filepath.Join(dir, "components"), os.DirFS("../../manifests/components")))
			}
			env, err := manifests.Load(from, "first")
			require.NoError(t, err)
			want := built(t, env)
			namespace := ""
			for _, p := range want.Plugins {
				namespace = p.Namespace
			}
			env.API = api
			require.NoError(t, built(t, env).Write())

			empty := filepath.Join(to, "overlays", "first")
			require.NoError(t, os.MkdirAll(filepath.Join(empty, "digests"), 0o755))
			for file, text := range map[string]string{
				"environment.yaml": "upstream: none\nistio: \"1.31\"\n", "kustomization.yaml": "namespace: " + namespace + "\ncomponents: [digests]\n",
				"digests/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../../../components/filter-image]\n",
			} {
				require.NoError(t, os.WriteFile(filepath.Join(empty, file), []byte(text), 0o644))
			}
			cmd := scripttest.Command("migrate", "-f", env.Rendered(), "--to", "first", "--dir", to, "--filters", "../../test/clone/testdata/fleet/filters")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			again, err := manifests.Load(to, "first")
			require.NoError(t, err)
			got := built(t, again)
			require.NotEmpty(t, got.Plugins)
			require.Equal(t, plugins(want), plugins(got))
		})
	}
}

func built(t *testing.T, env manifests.Environment) *manifests.Result {
	t.Helper()
	filters, err := catalog.Load("../../test/clone/testdata/fleet/filters")
	require.NoError(t, err)
	r, err := manifests.Build(env, filters, func(string) {})
	require.NoError(t, err)
	require.NoError(t, r.Undecoded)
	return r
}

// plugins are the objects that deploy filters, as YAML.
func plugins(r *manifests.Result) (all []string) {
	for _, p := range r.Plugins {
		all = append(all, string(p.Object.YAML))
	}
	return all
}
