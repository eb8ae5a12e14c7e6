package main

import (
	"errors"
	"strconv"
	"syscall"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// authority is the token service as a client names it.
func (c *config) authority() string {
	if c.upstream.port == 80 || c.upstream.port == 443 {
		return c.upstream.host
	}
	return c.upstream.host + ":" + strconv.Itoa(c.upstream.port)
}

// callout returns what sends the configured request to the token service.
func callout(c *config) func(func(answer)) *failure {
	more, body, failed := c.outgoing(getenv)
	if failed != nil {
		return func(func(answer)) *failure { return failed }
	}
	headers := append([][2]string{{":method", c.request.method}, {":path", c.request.path}, {":authority", c.authority()}}, more...)
	timeout := uint32(c.request.timeout.Milliseconds())

	return func(answered func(answer)) *failure {
		_, err := proxywasm.DispatchHttpCall(c.upstream.cluster, headers, body, nil, timeout, func(numHeaders, bodySize, _ int) {
			answered(readHost(numHeaders, bodySize))
		})
		if err == types.ErrorStatusBadArgument {
			err = errors.New("bad argument. is this cluster known to this proxy?")
		}
		if err != nil {
			return &failure{reason: notSent, text: "calling the cluster: " + err.Error()}
		}
		return nil
	}
}

// getenv is os.Getenv without package os.
func getenv(name string) string {
	value, _ := syscall.Getenv(name)
	return value
}

// readHost copies an answer out of the host. Without headers there was none, and then the SDK must not be asked for them: it
// takes their serialized form for granted.
func readHost(numHeaders, bodySize int) answer {
	a := answer{size: bodySize}
	if numHeaders > 0 {
		a.headers, _ = proxywasm.GetHttpCallResponseHeaders()
	}
	if bodySize > 0 {
		a.body, _ = proxywasm.GetHttpCallResponseBody(0, min(bodySize, maxBody))
	}
	return a
}

// sharedStore is a key of the proxy's shared data. It implements store.
type sharedStore struct{ key string }

// newSharedStore creates the key. The host calls OnPluginStart in a first VM on the main thread before any worker has one, so
// there is nobody to race with; afterwards the key is there for as long as the proxy runs.
func newSharedStore(key string, first record) (sharedStore, error) {
	s := sharedStore{key}
	_, _, err := s.load()
	if err == types.ErrorStatusNotFound {
		// A cas of 0 writes without comparing. Nowhere else.
		err = proxywasm.SetSharedData(s.key, first.encode(), 0)
	}
	return s, err
}

// load implements store.
func (s sharedStore) load() ([]byte, uint32, error) { return proxywasm.GetSharedData(s.key) }

// swap implements store.
func (s sharedStore) swap(value []byte, cas uint32) error {
	if cas == 0 {
		return types.ErrorStatusCasMismatch
	}
	return proxywasm.SetSharedData(s.key, value, cas)
}

// localStore keeps the record inside the VM. It implements store.
type localStore struct{ value []byte }

// load implements store.
func (s *localStore) load() ([]byte, uint32, error) { return s.value, 1, nil }

// swap implements store.
func (s *localStore) swap(value []byte, _ uint32) error {
	s.value = value
	return nil
}
