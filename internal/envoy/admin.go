package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Admin is Envoy's admin interface, such as http://127.0.0.1:34567.
type Admin string

var adminClient = &http.Client{Timeout: 10 * time.Second}

// Get is the body of a path that answers 200.
func (a Admin) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, string(a)+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := adminClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return body, err
}

// Stats are the counters and gauges whose names match the regular expression.
func (a Admin) Stats(ctx context.Context, filter string) (map[string]int, error) {
	body, err := a.Get(ctx, "/stats?filter="+url.QueryEscape(filter))
	if err != nil {
		return nil, err
	}
	stats := map[string]int{}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil {
			stats[name] = n
		}
	}
	return stats, nil
}

// Listener is the address that Envoy listens on; false while the listener is not there yet.
func (a Admin) Listener(ctx context.Context, name string) (netip.AddrPort, bool, error) {
	body, err := a.Get(ctx, "/listeners?format=json")
	if err != nil {
		return netip.AddrPort{}, false, err
	}
	var answer struct {
		Listeners []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint16 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return netip.AddrPort{}, false, err
	}
	for _, l := range answer.Listeners {
		if l.Name == name {
			ip, err := netip.ParseAddr(l.Address.Socket.Address)
			return netip.AddrPortFrom(ip, l.Address.Socket.Port), err == nil, err
		}
	}
	return netip.AddrPort{}, false, nil
}
