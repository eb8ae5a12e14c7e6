package status_test

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

	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/history"
	"github.com/wasmfleet/wasmfleet/tools/status"
)

func TestMain(m *testing.M) { scripttest.Main(m, status.Command(), history.Command()) }

func TestScripts(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOST", strings.TrimPrefix(server.URL, "http://"))
			e.Setenv("HOME", e.WorkDir)
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				e.Setenv("GIT_"+who+"_NAME", "Ann")
				e.Setenv("GIT_"+who+"_EMAIL", "ann@localhost")
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"commit": commit, "image": push},
	})
}

// commit DATE SUBJECT commits all that is there.
func commit(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("GIT_AUTHOR_DATE", args[0])
	ts.Setenv("GIT_COMMITTER_DATE", args[0])
	ts.Check(ts.Exec("git", "add", "-A"))
	ts.Check(ts.Exec("git", "commit", "-q", "--allow-empty", "-m", args[1]))
}

// push REPO TAG FILE… pushes an image, and puts its digest where a file says TAG-DIGEST.
func push(ts *testscript.TestScript, _ bool, args []string) {
	img, err := random.Image(64, 1)
	ts.Check(err)
	tag, err := name.NewTag(args[0] + ":" + args[1])
	ts.Check(err)
	ts.Check(remote.Write(tag, img))
	digest, err := img.Digest()
	ts.Check(err)
	for _, file := range args[2:] {
		file = filepath.Join(ts.Getenv("WORK"), file)
		text, err := os.ReadFile(file)
		ts.Check(err)
		text = []byte(strings.NewReplacer(args[1]+"-DIGEST", digest.String(), "HOST", ts.Getenv("HOST")).Replace(string(text)))
		ts.Check(os.WriteFile(file, text, 0o644))
	}
}
