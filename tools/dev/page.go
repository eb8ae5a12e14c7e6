package dev

import (
	"net/http"
	"net/netip"
)

type sent struct{ id string }

func (s *sent) serve(w http.ResponseWriter, r *http.Request) {}

func (s *session) servePage(a netip.AddrPort) (netip.AddrPort, func(), error) { return a, func() {}, nil }
