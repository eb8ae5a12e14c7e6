package main

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1:40000":                 "192.0.2.1",
		"192.0.2.1:0":                     "192.0.2.1",
		"192.0.2.1":                       "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:443":      "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:0":             "2001:db8:1:2::/64",
		"2001:db8:1:2::9":                 "2001:db8:1:2::/64",
		"[2001:DB8:0001:2::]:1":           "2001:db8:1:2::/64",
		"[::1]:80":                        "0:0:0:0::/64",
		"[::]:80":                         "0:0:0:0::/64",
		"[fe80::1%eth0]:80":               "fe80:0:0:0::/64",
		"[::ffff:192.0.2.1]:80":           "192.0.2.1",
		"[::ffff:c000:201]:80":            "192.0.2.1",
		"[64:ff9b::192.0.2.1]:80":         "64:ff9b:0:0::/64",
		"[2001:db8:1:2:3:4:192.0.2.1]:80": "2001:db8:1:2::/64",
		"/run/app.sock":                   "/run/app.sock",
		"":                                "",
		"[nonsense]:1":                    "nonsense",
		"[1:2:3]:1":                       "1:2:3",
		"[1:2:3:4:5:6:7:8:9]:1":           "1:2:3:4:5:6:7:8:9",
		"[1::2::3]:1":                     "1::2::3",
		"[1:2:3:4:5:6:7:1.2.3]:1":         "1:2:3:4:5:6:7:1.2.3",
		"[12345::]:1":                     "12345::",
	} {
		require.Equal(t, want, clientOf(address), address)
	}
}

// Addresses of one network are one client, and those of two are two, as the library has them.
func FuzzClientOf(f *testing.F) {
	for _, a := range []string{"192.0.2.1", "2001:db8::1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "::", "1::", "::8", "1:2:3:4:5:6:1.2.3.4"} {
		f.Add(a, uint16(80))
	}
	f.Fuzz(func(t *testing.T, text string, port uint16) {
		_ = clientOf(text)
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return
		}
		got := clientOf(netip.AddrPortFrom(ip, port).String())
		if ip = ip.Unmap().WithZone(""); ip.Is4() {
			require.Equal(t, ip.String(), got)
			return
		}
		prefix, err := ip.Prefix(64)
		require.NoError(t, err)
		other, err := netip.ParsePrefix(got)
		require.NoError(t, err, got)
		require.Equal(t, prefix, other)
	})
}

// The vectors of SipHash's authors: the key is 00 01 … 0f, the text 00 01 … of each length.
func TestHash(t *testing.T) {
	t.Parallel()
	key, ok := decodeSeed([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	require.True(t, ok)
	text := ""
	for i, want := range []uint64{0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462, 0x9e0082df0ba9e4b0} {
		require.Equal(t, want, key.hash(text), "%d bytes", i)
		text += string(rune(i))
	}
	again, _ := decodeSeed(key.encode())
	require.Equal(t, key, again)
}
