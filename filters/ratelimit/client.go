package main

import (
	"strconv"
	"strings"
)

// clientOf is who has sent a request from this address, which is ip:port. Ports change with each connection, so the port does not count;
// nor does the second half of an IPv6 address, of which each client has as many as it likes.
func clientOf(address string) string {
	if rest, ok := strings.CutPrefix(address, "["); ok {
		ip, _, _ := strings.Cut(rest, "]")
		return networkOf(ip)
	}
	if colon := strings.LastIndexByte(address, ':'); colon >= 0 {
		if strings.Count(address, ":") > 1 {
			return networkOf(address) // IPv6 without a port
		}
		return address[:colon]
	}
	return address
}

// networkOf is the /64 of an IPv6 address, or the IPv4 address that it stands for. What is neither is taken as it is.
func networkOf(ip string) string {
	ip, _, _ = strings.Cut(ip, "%") // the zone
	groups, ok := parseIPv6(ip)
	if !ok {
		return ip
	}
	if groups[0]|groups[1]|groups[2]|groups[3]|groups[4] == 0 && groups[5] == 0xffff {
		return decimal(groups[6]>>8) + "." + decimal(groups[6]&0xff) + "." + decimal(groups[7]>>8) + "." + decimal(groups[7]&0xff)
	}
	var b strings.Builder
	for _, g := range groups[:4] {
		b.WriteString(strconv.FormatUint(uint64(g), 16) + ":")
	}
	return b.String() + ":/64"
}

func decimal(n uint16) string { return strconv.FormatUint(uint64(n), 10) }

// parseIPv6 reads an address as RFC 4291 has it. net/netip does, too, and brings more than the rest of this filter.
func parseIPv6(s string) (groups [8]uint16, ok bool) {
	head, tail, shortened := strings.Cut(s, "::")
	first, ok := parseGroups(head)
	if !ok {
		return groups, false
	}
	last, ok := parseGroups(tail)
	if n := len(first) + len(last); !ok || shortened && n > 7 || !shortened && n != 8 {
		return groups, false
	}
	copy(groups[:], first)
	copy(groups[8-len(last):], last)
	return groups, true
}

// parseGroups reads groups between colons, of which the last may be an IPv4 address.
func parseGroups(s string) (groups []uint16, ok bool) {
	if s == "" {
		return nil, true
	}
	for part := range strings.SplitSeq(s, ":") {
		if strings.Contains(part, ".") {
			ip, ok := parseIPv4(part)
			if !ok || !strings.HasSuffix(s, part) {
				return nil, false
			}
			return append(groups, ip[:]...), true
		}
		n, err := strconv.ParseUint(part, 16, 16)
		if err != nil || len(part) > 4 {
			return nil, false
		}
		groups = append(groups, uint16(n))
	}
	return groups, true
}

// parseIPv4 reads an address as two groups of IPv6.
func parseIPv4(s string) (groups [2]uint16, ok bool) {
	n := 0
	for part := range strings.SplitSeq(s, ".") {
		b, err := strconv.ParseUint(part, 10, 8)
		if err != nil || n == 4 {
			return groups, false
		}
		groups[n/2] = groups[n/2]<<8 | uint16(b)
		n++
	}
	return groups, n == 4
}
