package envoy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseLog(t *testing.T) {
	for _, tc := range []struct {
		line string
		want LogEntry
	}{
		{`critical wasm wasm log addheader: addheader: want \"none\"\n\303\251 it\'s \\\'`,
			LogEntry{"critical", "wasm", "addheader", "addheader: want \"none\"\né it's \\'"}},
		{`warning wasm wasm log ns.addheader addheader: slow: very`, LogEntry{"warning", "wasm", "addheader", "slow: very"}},
		{`info wasm wasm log ns.addheader: hello`, LogEntry{"info", "wasm", "ns.addheader", "hello"}},
		{`info wasm wasm log: hello`, LogEntry{"info", "wasm", "plugin", "hello"}},
		{`error wasm Function: proxy_on_configure failed: Uncaught RuntimeError: unreachable`,
			LogEntry{"error", "wasm", "", "Function: proxy_on_configure failed: Uncaught RuntimeError: unreachable"}},
		{`critical main error initializing`, LogEntry{"critical", "main", "", "error initializing"}},
		{`terminate called without an active exception`, LogEntry{"critical", "", "", "terminate called without an active exception"}},
		{``, LogEntry{"critical", "", "", ""}},
	} {
		require.Equal(t, tc.want, ParseLog(tc.line))
	}
}

func TestAtLeast(t *testing.T) {
	require.True(t, LogEntry{Level: "critical"}.AtLeast("warning"))
	require.True(t, LogEntry{Level: "warning"}.AtLeast("warning"))
	require.False(t, LogEntry{Level: "info"}.AtLeast("warning"))
}

func TestReason(t *testing.T) {
	info := LogEntry{"info", "wasm", "addheader", "starting"}
	trap := LogEntry{"error", "wasm", "", "Wasm VM failed Uncaught RuntimeError"}
	after := LogEntry{"critical", "main", "", "error initializing configuration"}
	said := LogEntry{"critical", "wasm", "addheader", "addheader: no"}
	crash := LogEntry{"critical", "", "", "Segmentation fault"}
	for _, tc := range []struct {
		log  []LogEntry
		want string
	}{
		{nil, ""},
		{[]LogEntry{info}, ""},
		{[]LogEntry{info, trap, after}, "Uncaught RuntimeError"},
		{[]LogEntry{said, trap, after}, "addheader: no"},
		{[]LogEntry{crash}, "Segmentation fault"},
		{[]LogEntry{info, {"warning", "config", "", "Filesystem config update rejected: unknown cluster"}}, "unknown cluster"},
	} {
		require.Equal(t, tc.want, Reason(tc.log))
	}
}
