package istio

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
)

// prometheus has scraped these pods once: its engine and its storage, behind the one call of its API that is needed.
func prometheus(t *testing.T, pods map[string]proxystatus.Seen) (url string) {
	t.Helper()
	storage := teststorage.New(t)
	now := time.Now()
	appender := storage.Appender(t.Context())
	for pod, seen := range pods {
		for _, m := range seen.Metrics {
			b := labels.NewBuilder(labels.FromMap(m.Labels))
			b.Set("__name__", m.Name)
			b.Set("namespace", ns)
			b.Set("pod", pod)
			_, err := appender.Append(0, b.Labels(), now.UnixMilli(), m.Value)
			require.NoError(t, err)
		}
	}
	require.NoError(t, appender.Commit())
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: 10 * time.Second})
	t.Cleanup(func() { _ = engine.Close() })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/query" {
			http.NotFound(w, r)
			return
		}
		query, err := engine.NewInstantQuery(r.Context(), storage, nil, r.FormValue("query"), time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		defer query.Close()
		result := query.Exec(r.Context())
		if result.Err != nil {
			http.Error(w, result.Err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": result.Value.Type(), "result": result.Value}})
	}))
	t.Cleanup(server.Close)
	return server.URL
}
