package main

import (
	"encoding/binary"
	"strconv"
)

// A record is what the workers of a proxy share: the token, and whose turn it is to fetch the next one.
type record struct {
	token    token
	asked    instant // when the last fetch began, or the record
	lease    instant // until when the worker that fetches has the turn; it renews it for as long as it lives
	next     instant // when the next fetch is due
	failures uint32  // how many fetches have failed since one succeeded
	more     string  // what a later version of this layout has between these fields and the token
}

const (
	// recordVersion changes when the fields do. It is in the key as well, so that an older and a newer module, which both run during
	// a change, do not write over each other's. New fields at the end need no new version: see more.
	recordVersion = 2
	// recordFields is how long the fields are, without version and length.
	recordFields = 5*8 + 4
	// recordHeader is the length of a record without its token.
	recordHeader = 1 + 2 + recordFields
)

func (r record) encode() []byte {
	b := make([]byte, 0, recordHeader+len(r.more)+len(r.token.value))
	b = append(b, recordVersion)
	b = binary.LittleEndian.AppendUint16(b, uint16(recordFields+len(r.more)))
	for _, t := range []instant{r.token.since, r.token.expiry, r.asked, r.lease, r.next} {
		b = binary.LittleEndian.AppendUint64(b, uint64(t))
	}
	b = binary.LittleEndian.AppendUint32(b, r.failures)
	b = append(b, r.more...)
	return append(b, r.token.value...)
}

// decodeRecord reads a record. Any filter of the proxy can write to shared data, so the token is checked as if a token service had
// sent it, and what cannot be read is an empty record: the next fetch writes over it.
func decodeRecord(b []byte) record {
	if len(b) < recordHeader || b[0] != recordVersion {
		return record{}
	}
	end := 3 + int(binary.LittleEndian.Uint16(b[1:]))
	if end < recordHeader || end > len(b) {
		return record{}
	}
	var r record
	for i, t := range []*instant{&r.token.since, &r.token.expiry, &r.asked, &r.lease, &r.next} {
		*t = instant(binary.LittleEndian.Uint64(b[3+8*i:]))
	}
	r.failures = binary.LittleEndian.Uint32(b[recordHeader-4:])
	r.more = string(b[recordHeader:end])
	if value := string(b[end:]); value == "" || isToken(value) {
		r.token.value = value
		return r
	}
	return record{}
}

// recordKey names the record of a configuration by what is asked and where the answer is, not by what is done with it: who changes
// a timeout, a header or hosts keeps the token, and plugins that ask the same share it. FNV-1a, 64 bits.
//
// The secret is not in it, only its name: a new secret is no reason to throw a valid token away.
func (c *config) recordKey() string {
	hash := uint64(14695981039346656037)
	add := func(parts ...string) {
		for _, s := range parts {
			for i := range len(s) {
				hash = (hash ^ uint64(s[i])) * 1099511628211
			}
			hash = (hash ^ 0x100) * 1099511628211 // no byte, so that parts do not run together
		}
	}
	add(c.upstream.cluster, c.authority(), c.request.method, c.request.path, c.request.body)
	add(strconv.Itoa(len(c.request.headers)))
	for _, h := range c.request.headers {
		add(h[0], h[1])
	}
	add(c.clientAuth.method, c.clientAuth.id, c.clientAuth.secretEnv, c.token.header, c.token.json, strconv.FormatBool(c.token.text))
	add(c.lifetime.json, c.lifetime.jsonTime, strconv.FormatBool(c.lifetime.jwt), strconv.FormatInt(int64(c.lifetime.fixed), 10))
	return "jwtfetch/" + strconv.Itoa(recordVersion) + ":" + strconv.FormatUint(hash, 16)
}
