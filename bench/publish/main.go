// Command publish times 20 new filters going to one registry: one `publish`, 20 × `crane append` and 20 × `oras push`. It does
// so twice: with the registry on loopback, which measures the programs, and with every request delayed, as a hosted registry's are.
//
// The arms are interleaved, every round pushes modules that the registry has never seen, and what counts is the ratio inside a
// round: the machine's speed drifts.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const filters = 20

// delay is what a request to a hosted registry takes at least.
const delay = 20 * time.Millisecond

// goal is the time of publish over that of crane append, in either place.
const goal = 0.1

// peer is the arm that the goal is about.
const peer = 1

func main() {
	rounds := flag.Int("rounds", 5, "counted rounds, after one that warms up")
	wasmfleet := flag.String("wasmfleet", "../bin/wasmfleet", "path of wasmfleet")
	crane := flag.String("crane", "", "path of crane")
	oras := flag.String("oras", "", "path of oras")
	module := flag.String("module", "../build/addheader.wasm", "the module that every filter is a variant of")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *rounds, *wasmfleet, *crane, *oras, *module)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(3)
	}
}

// arm pushes the filters of one round, folders of a module and a plugin.yaml, to a repository.
type arm struct {
	name string
	push func(ctx context.Context, repo string, dirs []string) error
}

func run(ctx context.Context, rounds int, wasmfleet, crane, oras, module string) error {
	dir, err := os.MkdirTemp("", "bench-publish-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	host, stop, err := serve(ctx, crane)
	if err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	defer stop()
	far := httptest.NewServer(delayed(host))
	defer far.Close()
	arms := []arm{
		{"publish", func(ctx context.Context, repo string, dirs []string) error {
			args := []string{"publish", "--repo", repo, "--version", "v1"}
			for _, d := range dirs {
				args = append(args, filepath.Join(d, "plugin.wasm"))
			}
			return command(ctx, "", wasmfleet, args...)
		}},
		{"crane append", each(func(ctx context.Context, repo, dir string) error {
			return command(ctx, dir, crane, "append", "--oci-empty-base", "-f", "layer.tar.gz", "-t", repo+":v1")
		})},
		{"oras push", each(func(ctx context.Context, repo, dir string) error {
			return command(ctx, dir, oras, "push", "--plain-http", repo+":v1", "--config", "config.json:application/vnd.module.wasm.config.v1+json",
				"config.json:application/vnd.module.wasm.config.v1+json", "plugin.wasm:application/vnd.module.wasm.content.layer.v1+wasm")
		})},
	}
	salt := 0
	for _, place := range []struct{ name, host string }{
		{"registry on loopback", host},
		{fmt.Sprintf("%s more for each request", delay), strings.TrimPrefix(far.URL, "http://")},
	} {
		times, err := measure(ctx, arms, rounds, place.host, dir, module, &salt)
		if err != nil {
			return err
		}
		report(place.name, arms, times)
	}
	return nil
}

// delayed is the registry at host, farther away.
func delayed(host string) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		proxy.ServeHTTP(w, r)
	})
}

// measure is the seconds of each arm in each counted round.
func measure(ctx context.Context, arms []arm, rounds int, host, dir, module string, salt *int) ([][]float64, error) {
	times := make([][]float64, len(arms))
	for round := range rounds + 1 {
		for i := range arms {
			a := (i + round) % len(arms)
			*salt++
			dirs, err := variants(ctx, dir, module, *salt)
			if err != nil {
				return nil, err
			}
			start := time.Now()
			if err := arms[a].push(ctx, fmt.Sprintf("%s/bench/s%d", host, *salt), dirs); err != nil {
				return nil, err
			}
			if round > 0 {
				times[a] = append(times[a], time.Since(start).Seconds())
			}
		}
	}
	return times, nil
}

func report(place string, arms []arm, times [][]float64) {
	fmt.Printf("%d filters, %d rounds, %s\n%-14s %10s %22s\n", filters, len(times[0]), place, "", "median ms", "publish / this, median")
	for a, arm := range arms {
		ratios := make([]float64, len(times[a]))
		for r := range ratios {
			ratios[r] = times[0][r] / times[a][r]
		}
		fmt.Printf("%-14s %10.0f %22.3f", arm.name, 1000*median(times[a]), median(ratios))
		if a == peer {
			fmt.Printf("   goal %.1f: %s", goal, map[bool]string{true: "met", false: "missed"}[median(ratios) <= goal])
		}
		fmt.Println()
	}
}

// each pushes one filter after the other, as a loop in a shell would.
func each(push func(ctx context.Context, repo, dir string) error) func(context.Context, string, []string) error {
	return func(ctx context.Context, repo string, dirs []string) error {
		for _, d := range dirs {
			if err := push(ctx, repo+"/"+filepath.Base(d), d); err != nil {
				return err
			}
		}
		return nil
	}
}

// variants makes the filters of one round and arm: the module with a custom section that nobody has seen, in the forms that the
// tools take.
func variants(ctx context.Context, dir, module string, salt int) ([]string, error) {
	code, err := os.ReadFile(module)
	if err != nil {
		return nil, fmt.Errorf(`%w. run "make build"`, err)
	}
	var dirs []string
	for i := range filters {
		d := filepath.Join(dir, fmt.Sprint(salt), fmt.Sprintf("f%d", i))
		section := fmt.Sprintf("\x04salt%06d%02d", salt, i)
		files := map[string][]byte{
			"plugin.wasm": append(append(slices.Clip(code), 0, byte(len(section))), section...),
			"plugin.yaml": fmt.Appendf(nil, "name: f%d\ntitle: t\ndescription: d\nphases: [AUTHN]\n", i),
			"config.json": []byte("{}"),
		}
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(d, name), content, 0o644); err != nil {
				return nil, err
			}
		}
		if err := command(ctx, d, "tar", "-czf", "layer.tar.gz", "plugin.wasm"); err != nil {
			return nil, err
		}
		dirs = append(dirs, d)
	}
	return dirs, nil
}

func command(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, out)
	}
	return nil
}

var port = regexp.MustCompile(`serving on port (\d+)`)

// serve starts go-containerregistry's registry on a free port of loopback.
func serve(ctx context.Context, crane string) (host string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, crane, "registry", "serve", "--address", "127.0.0.1:0")
	logs, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		if m := port.FindStringSubmatch(lines.Text()); m != nil {
			go func() { // keep the pipe empty
				for lines.Scan() {
				}
			}()
			return "127.0.0.1:" + m[1], stop, nil
		}
	}
	stop()
	return "", nil, fmt.Errorf("it said no port")
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
