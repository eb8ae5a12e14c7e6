// Package syncstatus says what became of a sync on one proxy: which filter runs, from which image, and which does not, and why.
//
// Envoy's configuration dump alone does not say it: it shows a configuration that Envoy has refused as if it ran. Nor does istiod:
// the next push of anything else is accepted, and the refusal is forgotten. So several signals are read together.
package syncstatus

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Addresses are where the signals of a proxy come from, as URLs; Proxy is its name in istiod, such as web-6f9.shop.
type Addresses struct {
	Envoy  string // admin interface, port 15000 of a pod
	Agent  string // status port, 15020
	Istiod string // debug interface, 15014 or 8080
	Proxy  string
}

// Signals are what the three programs say, as they say it.
type Signals struct {
	Proxy      string
	Time       time.Time
	Server     []byte // Envoy: how long it runs
	Listeners  []byte // Envoy: which filters are in service
	Extensions []byte // Envoy: what was last received for each
	Stats      []byte // Envoy: what was accepted and refused
	Agent      []byte // the agent's metrics: what could not be fetched
	Syncz      []byte // istiod: what the proxy has answered
}

// Collect asks for the signals.
func Collect(ctx context.Context, client *http.Client, a Addresses) (Signals, error) {
	s := Signals{Proxy: a.Proxy, Time: time.Now()}
	for _, source := range []struct {
		url string
		to  *[]byte
	}{
		{a.Envoy + "/server_info", &s.Server},
		{a.Envoy + "/config_dump?resource=dynamic_listeners", &s.Listeners},
		{a.Envoy + "/config_dump?resource=ecds_filters", &s.Extensions},
		{a.Envoy + "/stats?filter=" + url.QueryEscape(`^extension_config_discovery\.`), &s.Stats},
		{a.Agent + "/stats/prometheus", &s.Agent},
		{a.Istiod + "/debug/syncz", &s.Syncz},
	} {
		body, err := get(ctx, client, source.url)
		if err != nil {
			return s, fmt.Errorf("asking for the state of %s: %w", a.Proxy, err)
		}
		*source.to = body
	}
	return s, nil
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return body, err
}
