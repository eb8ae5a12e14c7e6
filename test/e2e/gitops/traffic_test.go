package gitops

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// traffic asks a URL 100 times a second for as long as the test runs and counts what comes back.
type traffic struct {
	mu       sync.Mutex
	requests int
	failures map[string]int // what was not a 200, by what it was
}

func startTraffic(t *testing.T, url string) *traffic {
	t.Helper()
	tr := &traffic{failures: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			running.Go(func() {
				_, err := header(context.Background(), url)
				tr.mu.Lock()
				defer tr.mu.Unlock()
				tr.requests++
				if err != nil {
					tr.failures[err.Error()]++
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return tr
}

// soFar is the number of requests and of failures of each kind.
func (tr *traffic) soFar() (int, map[string]int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	failures := map[string]int{}
	for why, n := range tr.failures {
		failures[why] = n
	}
	return tr.requests, failures
}

var client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// header is the response header hello, which addheader sets.
func header(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s", resp.Status)
	}
	return resp.Header.Get("hello"), nil
}
