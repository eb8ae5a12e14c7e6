package main

import (
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// shared is the table of buckets in the proxy's shared data, which all of its workers have in common. Shared data cannot be deleted, so
// every key of it is made at the start, and none for a client.
type shared struct {
	seed seed
	sets []string // their keys
}

// newShared finds the table of an object, or makes it. The host calls OnPluginStart in a first VM on the main thread before any worker has
// one, so there is nobody to race with. A table that is there is kept, so that a new configuration is no new start for clients; one
// that was smaller grows, and who was in another set begins anew.
func newShared(object string, sets int, random func() uint64) (*shared, error) {
	prefix := "ratelimit/" + strconv.Itoa(setVersion) + ":" + object + ":"
	data, err := create(prefix+"seed", func() []byte { return seed{random(), random()}.encode() })
	if err != nil {
		return nil, err
	}
	s := &shared{sets: make([]string, sets)}
	s.seed, _ = decodeSeed(data) // another filter has written to it: then all proxies have the same seed
	for i := range s.sets {
		s.sets[i] = prefix + strconv.Itoa(i)
		if _, err := create(s.sets[i], (&set{}).encode); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// create returns what is under a key, after it has put something there if there was nothing.
func create(key string, first func() []byte) ([]byte, error) {
	data, _, err := proxywasm.GetSharedData(key)
	if err == types.ErrorStatusNotFound {
		data = first()
		// A cas of 0 writes without comparing. Nowhere else.
		err = proxywasm.SetSharedData(key, data, 0)
	}
	return data, err
}

// maxTries is how often a worker tries to write a set that others write, too. Each time that it fails another one has succeeded, so with
// a handful of workers it comes to two or three.
const maxTries = 1000

// take takes a token of the client's. Without one, wait is how long it takes until there is.
func (s *shared) take(l limit, client string, now instant) (wait instant, crowded bool, err error) {
	hash := s.seed.hash(client)
	key := s.sets[hash%uint64(len(s.sets))]
	for range maxTries {
		data, cas, err := proxywasm.GetSharedData(key)
		if err != nil {
			return 0, false, err
		}
		set := decodeSet(data)
		settled := set.settle(now, l)
		var b *bucket
		b, crowded = set.bucket(hash, now)
		if *b, wait = l.take(*b, now); wait > 0 && !settled {
			return wait, crowded, nil // nothing to write
		}
		if err = proxywasm.SetSharedData(key, set.encode(), cas); err != types.ErrorStatusCasMismatch {
			return wait, crowded, err
		}
	}
	return 0, false, types.ErrorStatusCasMismatch
}
