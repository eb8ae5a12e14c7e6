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
		{`critical wasm wasm log hello: hello: want \"none\"\n\303\251 it\'s \\\'`,
			LogEntry{"critical", "wasm", "hello", "hello: want \"none\"\né it's \\'"}},
		{`warning wasm wasm log ns.hello hello: slow: very`, LogEntry{"warning", "wasm", "hello", "slow: very"}},
		{`info wasm wasm log ns.hello: hello`, LogEntry{"info", "wasm", "ns.hello", "hello"}},
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
	info := LogEntry{"info", "wasm", "hello", "starting"}
	trap := LogEntry{"error", "wasm", "", "Wasm VM failed Uncaught RuntimeError"}
	after := LogEntry{"critical", "main", "", "error initializing configuration"}
	said := LogEntry{"critical", "wasm", "hello", "hello: no"}
	crash := LogEntry{"critical", "", "", "Segmentation fault"}
	for _, tc := range []struct {
		log  []LogEntry
		want string
	}{
		{nil, ""},
		{[]LogEntry{info}, ""},
		{[]LogEntry{info, trap, after}, "Uncaught RuntimeError"},
		{[]LogEntry{said, trap, after}, "hello: no"},
		{[]LogEntry{crash}, "Segmentation fault"},
		{[]LogEntry{info, {"warning", "config", "", "Filesystem config update rejected: unknown cluster"}}, "unknown cluster"},
	} {
		require.Equal(t, tc.want, Reason(tc.log))
	}
}
