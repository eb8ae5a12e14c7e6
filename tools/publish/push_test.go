package publish

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/registry"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
)

// faulty is the real registry behind a counter; request number k, from 1, gets a fault.
type faulty struct {
	real http.Handler

	mu       sync.Mutex
	requests []string
	uploaded int64 // bytes of request bodies
	k        int   // 0: no fault
	fault    func(http.ResponseWriter, *http.Request, http.Handler)
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	f.uploaded += max(r.ContentLength, 0)
	hit := len(f.requests) == f.k
	f.mu.Unlock()
	if hit {
		f.fault(w, r, f.real)
		return
	}
	f.real.ServeHTTP(w, r)
}

func newFaulty(t *testing.T) (f *faulty, repo string) {
	f = &faulty{real: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))}
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return f, strings.TrimPrefix(s.URL, "http://") + "/team"
}

func testJob(t *testing.T, repo, filter, version string, module []byte) job {
	j := job{filter: catalog.Filter{Name: filter, Title: filter, Description: filter}, module: module}
	var err error
	j.image, err = image.Build(module, j.filter, image.Artifact)
	require.NoError(t, err)
	j.tag, err = name.NewTag(repo + "/" + filter + ":" + version)
	require.NoError(t, err)
	return j
}

func testModule(t *testing.T, name string) []byte {
	m, err := os.ReadFile("../../internal/wasmfile/testdata/lint/" + name + ".wasm")
	require.NoError(t, err)
	return m
}

// push publishes with hardly any wait between retries.
func push(t *testing.T, jobs ...job) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	base := registry.Retrying(remote.DefaultTransport.(*http.Transport).Clone(), time.Millisecond, 2*time.Millisecond)
	return publisher{base: base, progress: newProgress(io.Discard)}.publish(ctx, jobs)
}

func TestRequestCounts(t *testing.T) {
	f, repo := newFaulty(t)
	j := testJob(t, repo, "demo", "v1", testModule(t, "ok"))

	require.NoError(t, push(t, j))
	require.Len(t, f.requests, 7, "a new image: %s", f.requests)

	f.requests, f.uploaded = nil, 0
	require.NoError(t, push(t, j))
	require.Len(t, f.requests, 2, "the same image: %s", f.requests)
	require.Zero(t, f.uploaded)

	// The first request is shared: 1 + 6 for each.
	f.requests = nil
	var jobs []job
	for i := range 20 {
		jobs = append(jobs, testJob(t, repo, fmt.Sprintf("f%d", i), "v1", testModule(t, "ok")))
	}
	require.NoError(t, push(t, jobs...))
	require.Len(t, f.requests, 1+20*6)
}

// A registry that knows no single-request upload opens a session instead: one request more for each blob.
func TestUploadInTwoRequests(t *testing.T) {
	f, repo := newFaulty(t)
	real := f.real
	f.real = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			r.URL.RawQuery = ""
		}
		real.ServeHTTP(w, r)
	})
	require.NoError(t, push(t, testJob(t, repo, "demo", "v1", testModule(t, "ok"))))
	require.Len(t, f.requests, 9, "%s", f.requests)
}

// state is what the tag names now: "absent", or the name of the job whose image is there, complete. Anything else is dangling.
func state(t *testing.T, handler http.Handler, jobs map[string]job) string {
	s := httptest.NewServer(handler)
	defer s.Close()
	for _, j := range jobs {
		at, err := name.NewTag(strings.TrimPrefix(s.URL, "http://") + "/team/demo:" + j.tag.TagStr())
		require.NoError(t, err)
		img, err := remote.Image(at)
		if err != nil {
			require.ErrorContains(t, err, "UNKNOWN")
			return "absent"
		}
		digest, err := img.Digest()
		require.NoError(t, err)
		for is, j := range jobs {
			if want, err := j.image.Digest(); err == nil && want == digest {
				require.NoError(t, image.SameModule(img, j.module), "dangling")
				return is
			}
		}
		return "unknown " + digest.String()
	}
	return ""
}

func status(code int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if code == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "0")
		}
		http.Error(w, `{"errors":[{"code":"FAULT"}]}`, code)
	}
}

// faults are what may happen to one request. The ones that pass are repeated and the push succeeds.
var faults = map[string]struct {
	do     func(http.ResponseWriter, *http.Request, http.Handler)
	passes bool
}{
	"401": {status(401), false}, "403": {status(403), false}, "404": {status(404), false},
	"408": {status(408), true}, "429": {status(429), true}, "500": {status(500), true}, "502": {status(502), true}, "503": {status(503), true},
	"reset": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}, true},
	"cut body": {func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		answer := httptest.NewRecorder()
		real.ServeHTTP(answer, r)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		body := answer.Body.Bytes()
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}, false},
	"slow": {func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		time.Sleep(50 * time.Millisecond)
		real.ServeHTTP(w, r)
	}, true},
	"wrong digest": {func(w http.ResponseWriter, r *http.Request, real http.Handler) {
		answer := httptest.NewRecorder()
		real.ServeHTTP(answer, r)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(bytes.ToUpper(answer.Body.Bytes()))
	}, false},
}

// At every request of a push, every fault: afterwards the tag is absent or as it was, or the new image is there, complete; and
// the same command once more brings it there.
func TestFaultAtEveryRequest(t *testing.T) {
	for fault, is := range faults {
		for _, before := range []string{"absent", "old"} {
			for k := 1; k <= 7; k++ {
				t.Run(fmt.Sprintf("%s/%s/%d", fault, before, k), func(t *testing.T) {
					f, repo := newFaulty(t)
					jobs := map[string]job{
						"old": testJob(t, repo, "demo", "edge", testModule(t, "ok-malloc")),
						"new": testJob(t, repo, "demo", "edge", testModule(t, "ok")),
					}
					if before == "old" {
						require.NoError(t, push(t, jobs["old"]))
					}
					f.requests, f.k, f.fault = nil, k, is.do
					err := push(t, jobs["new"])
					if is.passes {
						require.NoError(t, err)
					}
					after := state(t, f.real, jobs)
					t.Logf("%v: %s", err, after)
					if err == nil {
						require.Equal(t, "new", after)
					} else {
						require.Contains(t, []string{before, "new"}, after)
					}
					f.k = 0
					require.NoError(t, push(t, jobs["new"]), "again")
					require.Equal(t, "new", state(t, f.real, jobs))
				})
			}
		}
	}
}

// The same for the death of the publisher while request k is under way.
func TestKilledAtEveryRequest(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "demo.wasm"), testModule(t, "ok"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, catalog.File), []byte("name: demo\ntitle: demo\ndescription: demo\nphases: [AUTHN]\n"), 0o644))
	for k := 1; k <= 7; k++ {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			f, repo := newFaulty(t)
			jobs := map[string]job{"new": testJob(t, repo, "demo", "edge", testModule(t, "ok"))}
			cmd := scripttest.Command("publish", "--repo", repo, "--version", "edge", filepath.Join(dir, "demo.wasm"))
			f.k, f.fault = k, func(w http.ResponseWriter, r *http.Request, real http.Handler) {
				_ = cmd.Process.Kill()
				real.ServeHTTP(w, r)
			}
			require.Error(t, cmd.Run())
			require.Contains(t, []string{"absent", "new"}, state(t, f.real, jobs))
			f.k = 0
			out, err := scripttest.Command(cmd.Args[1:]...).CombinedOutput()
			require.NoError(t, err, string(out))
			require.Equal(t, "new", state(t, f.real, jobs))
		})
	}
}

// Publishers that race for one tag leave it at one complete image.
func TestRace(t *testing.T) {
	f, repo := newFaulty(t)
	jobs := map[string]job{
		"a": testJob(t, repo, "demo", "edge", testModule(t, "ok")),
		"b": testJob(t, repo, "demo", "edge", testModule(t, "ok-malloc")),
	}
	for range 20 {
		var wg sync.WaitGroup
		for _, j := range jobs {
			wg.Go(func() { require.NoError(t, push(t, j)) })
		}
		wg.Wait()
		require.Contains(t, []string{"a", "b"}, state(t, f.real, jobs))
	}
}
