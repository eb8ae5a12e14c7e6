package verify_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
	"github.com/wasmfleet/wasmfleet/tools/canary"
	"github.com/wasmfleet/wasmfleet/tools/verify"
)

func TestMain(m *testing.M) { scripttest.Main(m, verify.Command(), canary.Command()) }

// Real proxies are asked in test/e2e/istio. Here a proxy is what it shows.
func TestScripts(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOST", strings.TrimPrefix(server.URL, "http://"))
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"image": func(ts *testscript.TestScript, _ bool, args []string) { push(ts, args[0]) },
			"proxy": func(ts *testscript.TestScript, _ bool, args []string) { show(t, ts, args) },
		},
	})
}

// module says which build it is, in a section that no engine reads.
func module() []byte {
	const section = "\x05proofwasmfleet build:??????"
	sealed, _ := wasmfile.Seal([]byte("\x00asm\x01\x00\x00\x00\x00" + string(rune(len(section))) + section))
	return sealed
}

// push FILE pushes the image of the filter demo, and puts host and digest into the file.
func push(ts *testscript.TestScript, file string) {
	img, err := image.Build(module(), catalog.Filter{Name: "demo"}, image.Artifact)
	ts.Check(err)
	tag, err := name.NewTag(ts.Getenv("HOST") + "/team/demo:v1")
	ts.Check(err)
	ts.Check(remote.Write(tag, img))
	digest, err := img.Digest()
	ts.Check(err)
	ts.Setenv("DIGEST", digest.String())
	file = filepath.Join(ts.Getenv("WORK"), file)
	text, err := os.ReadFile(file)
	ts.Check(err)
	ts.Check(os.WriteFile(file, []byte(strings.NewReplacer("DIGEST", digest.String(), "HOST", ts.Getenv("HOST")).Replace(string(text))), 0o644))
}

// show NAMESPACE/POD LABELS WHAT adds a pod to pods.json, whose proxy runs what it should, also the canary, the canary alone, another
// configuration, or nothing, or is gone.
func show(t *testing.T, ts *testscript.TestScript, args []string) {
	configuration := plugin.Fingerprint([]byte(`{"greeting":"hello"}`))
	build, _ := wasmfile.Build(module())
	metrics := "envoy_server_live{} 1\nistio_agent_scrapes_total 1\n"
	says := func(object string) {
		for gauge, value := range map[string]uint64{"config": configuration, "build": build, "running": 3} {
			metrics += fmt.Sprintf("wasmfleet_%s{wasm_filter=%q} %d\n", gauge, object, value)
		}
	}
	switch args[2] {
	case "other":
		configuration++
		says("web/demo")
	case "good":
		says("web/demo")
	case "pair":
		says("web/demo")
		says("web/demo_canary")
	case "canary":
		says("web/demo_canary")
	case "empty", "gone":
	default:
		ts.Fatalf("proxy %s?", args[2])
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, metrics) }))
	t.Cleanup(server.Close)
	if args[2] == "gone" {
		server.Close()
	}
	address, err := url.Parse(server.URL)
	ts.Check(err)
	namespace, name, _ := strings.Cut(args[0], "/")
	label, value, _ := strings.Cut(args[1], "=")
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{label: value}, Annotations: map[string]string{"status.sidecar.istio.io/port": address.Port()}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}, {Name: "istio-proxy", Args: []string{"proxy", "sidecar"}}}},
		Status:     corev1.PodStatus{PodIP: address.Hostname(), Phase: corev1.PodRunning},
	}
	file := filepath.Join(ts.Getenv("WORK"), "pods.json")
	var list corev1.PodList
	if text, err := os.ReadFile(file); err == nil {
		ts.Check(json.Unmarshal(text, &list))
	}
	list.Items = append(list.Items, pod)
	text, err := json.Marshal(list)
	ts.Check(err)
	ts.Check(os.WriteFile(file, text, 0o644))
}

// A thousand proxies are asked side by side: each answers after 50 ms, one after the other would take 50 s.
func TestManyProxies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(w, "envoy_server_live{} 1\nistio_agent_scrapes_total 1\n")
	}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	var list corev1.PodList
	for i := range 1000 {
		list.Items = append(list.Items, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: fmt.Sprint("p", i), Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"status.sidecar.istio.io/port": address.Port()}},
			Spec:       corev1.PodSpec{InitContainers: []corev1.Container{{Name: "istio-proxy"}}},
			Status:     corev1.PodStatus{PodIP: address.Hostname()},
		})
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	pods := filepath.Join(dir, "pods.json")
	require.NoError(t, os.WriteFile(pods, text, 0o644))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "manifests"), os.DirFS("testdata/manifests")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "filters"), 0o755))
	var stdout, stderr strings.Builder
	started := time.Now()
	code := verify.Command().Main([]string{"--dir", dir + "/manifests", "--filters", dir + "/filters", "--pods", pods, "here"}, &stdout, &stderr)
	require.Equal(t, cli.ExitFindings, code, stderr.String())
	require.Contains(t, stderr.String(), "0 of 1000 proxies run what is pinned")
	require.Less(t, time.Since(started), 20*time.Second)
}
