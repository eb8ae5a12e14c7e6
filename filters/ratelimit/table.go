package main

import "encoding/binary"

// setSize is how many clients share a set. A client may be in one set only, so that a set is all that a request reads and writes.
const setSize = 8

// A set is what the workers of a proxy share about some clients.
type set struct {
	clients [setSize]entry
	// others is the bucket of all clients for whom there is no entry left.
	others bucket
}

// An entry is the bucket of one client.
type entry struct {
	client uint64
	bucket bucket
}

// setBytes is how long a set is in shared data: a version, and the numbers.
const (
	setVersion = 1
	setBytes   = 1 + setSize*16 + 8
)

func (s *set) encode() []byte {
	b := make([]byte, 0, setBytes)
	b = append(b, setVersion)
	for _, e := range s.clients {
		b = binary.LittleEndian.AppendUint64(b, e.client)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.bucket))
	}
	return binary.LittleEndian.AppendUint64(b, uint64(s.others))
}

// decodeSet reads a set. Any filter of the proxy can write to shared data, so whatever is there is taken: what cannot be read is an empty
// set, and what can has bounds in settle.
func decodeSet(b []byte) (s set) {
	if len(b) != setBytes || b[0] != setVersion {
		return set{}
	}
	b = b[1:]
	for i := range s.clients {
		s.clients[i] = entry{binary.LittleEndian.Uint64(b), bucket(binary.LittleEndian.Uint64(b[8:]))}
		b = b[16:]
	}
	s.others = bucket(binary.LittleEndian.Uint64(b))
	return s
}

// settle makes empty what lacks more than all of its tokens: its time is that of a clock that was ahead and has been set back, or the buckets
// were larger before. So nobody waits longer than an empty bucket takes to fill, and no entry is held for longer.
func (s *set) settle(now instant, l limit) (changed bool) {
	latest := bucket(now + l.empty())
	for i := range s.clients {
		if e := &s.clients[i]; e.bucket > latest {
			e.bucket, changed = latest, true
		}
	}
	if s.others > latest {
		s.others, changed = latest, true
	}
	return changed
}

// bucket is the bucket of a client: its own, or one that is full and therefore nobody's, or that of the others.
//
// Nobody is put out for a newcomer. Who has used up a limit would else get a new one by sending under many names, and who shares a bucket
// gets less than the limit, but all together never more.
func (s *set) bucket(client uint64, now instant) (b *bucket, crowded bool) {
	var free *entry
	for i := range s.clients {
		e := &s.clients[i]
		if e.client == client {
			return &e.bucket, false
		}
		if free == nil && e.bucket.isFull(now) {
			free = e
		}
	}
	if free == nil {
		return &s.others, true
	}
	*free = entry{client: client}
	return &free.bucket, false
}
