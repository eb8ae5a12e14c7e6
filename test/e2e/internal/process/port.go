package process

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ports are taken from here: an outgoing connection of anybody takes one from 32768 on.
const firstPort, ports = 20000, 12000

var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// Port is a free one, on every address, and is given once: the caller need not listen at once.
func Port(t testing.TB) int {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(ports)
		if given.ports[port] {
			continue
		}
		// Without an address: some of the programs cannot be told to stay on the loopback.
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		require.NoError(t, l.Close())
		given.ports[port] = true
		return port
	}
	require.FailNow(t, "no free port")
	return 0
}

// Address is a free port of the loopback.
func Address(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
}
