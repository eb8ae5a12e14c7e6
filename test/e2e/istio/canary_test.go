package istio

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
)

// The users of the canary's tests, each of whom sends a header of its own.
const users = 4000

// canaryTree is a tree whose dev has an API and a canary of addheader: other bytes, another value.
func canaryTree(t *testing.T, api string, pins manifests.Pins, canary image.Ref, args ...string) tree {
	t.Helper()
	tr := newTree(t)
	tr.set("dev", api)
	tr.pin("dev", pins)
	config := filepath.Join(t.TempDir(), "canary.yaml")
	require.NoError(t, os.WriteFile(config, []byte("name: hello\nvalue: canary\n"), 0o644))
	tr.canary(append([]string{"start", "addheader", "--config", config, "--image", canary.String()}, args...)...)
	return tr
}

func (tr tree) canary(args ...string) {
	tr.t.Helper()
	_, err := wasmfleet(tr.t, append([]string{"canary", "--dir", tr.dir, "--filters", "filters", "--in", "dev"}, args...)...)
	require.NoError(tr.t, err)
}

// split asks once for each user, and says who saw which value; a status that is not 200 counts as a value.
func (c *chain) split(t *testing.T, header func(user int) (name, value string)) map[string][]int {
	t.Helper()
	process.Until(t, 20*time.Second, "an answer", func(ctx context.Context) error {
		got, err := get(ctx, c.inbound, "")
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("status %d", got.status)
		}
		return err
	})
	client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	seen := map[string][]int{}
	for user := range users {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", c.inbound), nil)
		require.NoError(t, err)
		if name, value := header(user); name != "" {
			req.Header.Set(name, value)
		}
		resp, err := client.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		value := strings.Join(resp.Header.Values("hello"), " and ")
		if resp.StatusCode != http.StatusOK {
			value = resp.Status
		}
		seen[value] = append(seen[value], user)
	}
	return seen
}

func byUser(user int) (name, value string) { return "x-user", fmt.Sprintf("user-%d", user) }
func nobody(int) (name, value string)      { return "", "" }

// A share of the users gets the canary, each always the same side, through istiod, the agent's conversion and Envoy, with both objects
// that a filter may be; who is in stays in when the share grows; nobody gets both, or none.
func TestCanary(t *testing.T) {
	host := serve(t, nil)
	pins := pushAll(t, host)
	canary := pushModule(t, host, "addheader", "v2", otherBytes(t, modules(t)["addheader"], "canary"))
	require.NotEqual(t, pins["addheader"].Digest, canary.Digest)
	for _, api := range []string{plugin.WasmPlugin.Kind, plugin.TrafficExtension.Kind} {
		t.Run(api, func(t *testing.T) {
			tr := canaryTree(t, api, pins, canary, "--percent", "10", "--key", "header:x-user")
			dir := filepath.Join(tr.dir, "rendered", "dev")
			stable := byName(t, dir)["addheader"].Spec.PluginConfig.AsMap()["value"].(string)

			c := startChain(t, "dev", read(t, dir))
			at10 := c.split(t, byUser)
			require.ElementsMatch(t, []string{stable, "canary"}, slices.Collect(maps.Keys(at10)), "one side each, and no failure")
			share := float64(len(at10["canary"])) / users
			t.Logf("10 %%: %d of %d users", len(at10["canary"]), users)
			require.InDelta(t, 0.10, share, 0.01)
			require.Equal(t, at10, c.split(t, byUser), "each user sees the same again")
			require.Equal(t, []string{stable}, slices.Collect(maps.Keys(c.split(t, nobody))), "without the header it is the stable filter")
			for _, filter := range c.listeners.chains(t)[c.inbound] {
				require.NotEqual(t, plugin.Mesh{Istio: "1.31", API: api}.Resource(byName(t, dir)["addheader"]), filter, "the stable filter stands beside the split")
			}
			inOrder(t, c.listeners.chains(t)[c.inbound], "envoy.filters.http.rbac", "web-dev.addheader.split", "envoy.filters.http.router")

			tr.canary("set", "addheader", "--percent", "50")
			at50 := startChain(t, "dev", read(t, dir)).split(t, byUser)
			t.Logf("50 %%: %d of %d users", len(at50["canary"]), users)
			require.InDelta(t, 0.50, float64(len(at50["canary"]))/users, 0.02)
			require.Subset(t, at50["canary"], at10["canary"], "who is in at 10 %% is in at 50 %%")

			tr.canary("set", "addheader", "--percent", "100")
			require.Equal(t, []string{"canary"}, slices.Collect(maps.Keys(startChain(t, "dev", read(t, dir)).split(t, nobody))))
			tr.canary("set", "addheader", "--percent", "0")
			require.Equal(t, []string{stable}, slices.Collect(maps.Keys(startChain(t, "dev", read(t, dir)).split(t, byUser))))
			tr.canary("abort", "addheader")
			require.Equal(t, []string{stable}, slices.Collect(maps.Keys(startChain(t, "dev", read(t, dir)).split(t, byUser))))
		})
	}
}

// Each request is drawn anew by its x-request-id, which a client of Envoy's edge does not choose; here it does.
func TestCanaryByRequest(t *testing.T) {
	host := serve(t, nil)
	pins := pushAll(t, host)
	canary := pushModule(t, host, "addheader", "v2", otherBytes(t, modules(t)["addheader"], "canary"))
	tr := canaryTree(t, plugin.WasmPlugin.Kind, pins, canary, "--percent", "25", "--key", "request")
	seen := startChain(t, "dev", read(t, filepath.Join(tr.dir, "rendered", "dev"))).split(t, nobody)
	require.Len(t, seen, 2)
	require.InDelta(t, 0.25, float64(len(seen["canary"]))/users, 0.03)
}

// The image of the canary is missing: its users are denied, as the agent's fallback does, and the others are not touched.
func TestCanaryImageMissing(t *testing.T) {
	host := serve(t, nil)
	pins := pushAll(t, host)
	missing := pins["addheader"]
	missing.Digest = "sha256:" + strings.Repeat("0", 64)
	tr := canaryTree(t, plugin.WasmPlugin.Kind, pins, missing, "--percent", "10", "--key", "header:x-user")
	dir := filepath.Join(tr.dir, "rendered", "dev")
	stable := byName(t, dir)["addheader"].Spec.PluginConfig.AsMap()["value"].(string)
	seen := startChain(t, "dev", read(t, dir)).split(t, byUser)
	t.Logf("%d served, %v", len(seen[stable]), slices.Sorted(maps.Keys(seen)))
	require.InDelta(t, 0.90, float64(len(seen[stable]))/users, 0.01)
	require.InDelta(t, 0.10, float64(len(seen["403 Forbidden"]))/users, 0.01)
}
