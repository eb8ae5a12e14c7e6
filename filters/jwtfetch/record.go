package main

import "encoding/binary"

// A record is what the workers of a proxy share: the token, and whose turn it is to fetch the next one.
type record struct {
	token    token
	asked    instant // when the last fetch began
	lease    instant // until when that fetch has the turn; then its worker is taken for dead
	next     instant // when the next fetch is due
	failures uint32  // how many fetches have failed since one succeeded
}

const (
	// recordVersion changes with the layout: during a rollout two versions of the module may share the key.
	recordVersion = 1
	// recordHeader is the length of a record without its token.
	recordHeader = 1 + 5*8 + 4
)

func (r record) encode() []byte {
	b := make([]byte, 0, recordHeader+len(r.token.value))
	b = append(b, recordVersion)
	for _, t := range []instant{r.token.since, r.token.expiry, r.asked, r.lease, r.next} {
		b = binary.LittleEndian.AppendUint64(b, uint64(t))
	}
	b = binary.LittleEndian.AppendUint32(b, r.failures)
	return append(b, r.token.value...)
}

// decodeRecord reads a record. Any filter of the proxy can write to shared data, so the token is checked as if a token service had
// sent it, and what cannot be read is an empty record: the next fetch writes over it.
func decodeRecord(b []byte) record {
	if len(b) < recordHeader || b[0] != recordVersion {
		return record{}
	}
	var r record
	for i, t := range []*instant{&r.token.since, &r.token.expiry, &r.asked, &r.lease, &r.next} {
		*t = instant(binary.LittleEndian.Uint64(b[1+8*i:]))
	}
	r.failures = binary.LittleEndian.Uint32(b[recordHeader-4:])
	if value := string(b[recordHeader:]); value == "" || isToken(value) {
		r.token.value = value
		return r
	}
	return record{}
}
