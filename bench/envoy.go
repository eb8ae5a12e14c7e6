package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// A chain is a listener with copies of one peer's filter; it answers every request itself.
type chain struct {
	peer   peer
	copies int
	addr   netip.AddrPort
}

func (c chain) url() string { return "http://" + c.addr.String() + "/" }

func (c chain) listener() (*listenerv3.Listener, error) {
	var filters []*hcmv3.HttpFilter
	for i := range c.copies {
		config, err := c.peer.filter(header(i))
		if err != nil {
			return nil, err
		}
		filter, err := envoy.Static(header(i), config)
		if err != nil {
			return nil, err
		}
		filters = append(filters, filter)
	}
	return envoy.Listener(c.peer.Name, c.addr, filters, []*routev3.Route{envoy.DirectResponse("/", http.StatusOK, "ok\n")})
}

// check asks once and wants the header of every copy.
func (c chain) check(client *http.Client) error {
	response, err := client.Get(c.url())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %q: want status 200, got %d", c.peer.Name, response.StatusCode)
	}
	for i := range c.copies {
		if got := response.Header.Values(header(i)); len(got) != 1 || got[0] != value {
			return fmt.Errorf("asking %q: want %s: %s once, got %q. the peer does not do the same work", c.peer.Name, header(i), value, got)
		}
	}
	return nil
}

// newChains gives each peer a free port of the loopback.
func newChains(peers []peer, copies int) ([]chain, error) {
	var chains []chain
	for _, p := range peers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all stay taken until each has its own
		c := chain{peer: p, copies: copies, addr: l.Addr().(*net.TCPAddr).AddrPort()}
		if p.empty() {
			c.copies = 0
		}
		chains = append(chains, c)
	}
	return chains, nil
}

// running is an Envoy with one listener per chain.
type running struct {
	chains []chain
	cmd    *exec.Cmd
	log    string
	done   chan struct{} // closed when the process has ended
}

// startEnvoy runs path until stop is called. Its configuration and log lie in dir.
func startEnvoy(ctx context.Context, path, dir string, workers int, chains []chain) (*running, error) {
	resources := &bootstrapv3.Bootstrap_StaticResources{}
	for _, c := range chains {
		l, err := c.listener()
		if err != nil {
			return nil, err
		}
		resources.Listeners = append(resources.Listeners, l)
	}
	config, err := envoy.Marshal(&bootstrapv3.Bootstrap{StaticResources: resources})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "envoy.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // Envoy has its own handle
	cmd := exec.CommandContext(ctx, path, "-c", file, "--concurrency", strconv.Itoa(workers), "-l", "error", "--use-dynamic-base-id")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %q: %w", path, err)
	}
	e := &running{chains: chains, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in the log
		close(e.done)
	}()
	return e, nil
}

// ready waits until every chain answers as it should.
func (e *running) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, c := range e.chains {
		for {
			err := c.check(client)
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.ECONNREFUSED) {
				return err
			}
			select {
			case <-time.After(time.Millisecond):
			case <-e.done:
				text, _ := os.ReadFile(e.log)
				return fmt.Errorf("waiting for %q: Envoy ended: %s", c.peer.Name, text)
			case <-ctx.Done():
				return fmt.Errorf("waiting for %q: %w", c.peer.Name, ctx.Err())
			}
		}
	}
	return nil
}

// stop ends the process and waits for its end.
func (e *running) stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended already
	select {
	case <-e.done:
	case <-time.After(5 * time.Second):
		_ = e.cmd.Process.Kill()
		<-e.done
	}
}
