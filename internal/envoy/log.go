package envoy

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// LogFlags make Envoy write its log so that ParseLog can read it: one line an entry, on stderr.
var LogFlags = []string{"--log-format", "%l %n %v", "--log-format-escaped"}

// LogEntry is one entry of Envoy's log.
type LogEntry struct {
	Level   string // trace, debug, info, warning, error or critical
	Logger  string // wasm for the host and its plugins
	Plugin  string // the plugin's name or root id when the plugin itself speaks, else empty
	Message string
}

// spoken is a line that a plugin logs: from a stream under its name and root id, else under the root id alone.
var spoken = regexp.MustCompile(`(?s)^wasm log(?: (\S+?))?(?: (\S+?))?: (.*)`)

// ParseLog reads one line; what Envoy's logger did not write, such as a stack trace, is a critical entry without a logger.
func ParseLog(line string) LogEntry {
	parts := strings.SplitN(strings.TrimRight(line, "\r\n"), " ", 3)
	if len(parts) != 3 {
		return LogEntry{Level: "critical", Message: line}
	}
	e := LogEntry{Level: parts[0], Logger: parts[1], Message: unescape(parts[2])}
	if e.severity() == 0 {
		return LogEntry{Level: "critical", Message: line}
	}
	if m := spoken.FindStringSubmatch(e.Message); m != nil && e.Logger == "wasm" {
		e.Plugin, e.Message = m[1], m[3]
		if m[2] != "" {
			e.Plugin = m[2]
		}
		if e.Plugin == "" {
			e.Plugin = "plugin"
		}
	}
	return e
}

// Reason finds in the log why something did not start: the last grave thing that a plugin said; else Envoy's first error, as
// those that follow only say what it led to; else what it said of the configuration, or before it had a logger.
func Reason(log []LogEntry) string {
	var said, first, other string
	for _, e := range log {
		switch grave := e.AtLeast("error"); {
		case grave && e.Plugin != "":
			said = e.Message
		case grave && e.Logger != "" && first == "":
			first = strings.TrimPrefix(e.Message, "Wasm VM failed ")
		case e.Logger == "" || e.Logger == "config" && e.AtLeast("warning"):
			other = strings.TrimPrefix(e.Message, "Filesystem config update rejected: ")
		}
	}
	return cmp.Or(said, first, other)
}

// AtLeast reports whether the entry is of that level or graver.
func (e LogEntry) AtLeast(level string) bool {
	return e.severity() >= (LogEntry{Level: level}).severity()
}

var levels = []string{"trace", "debug", "info", "warning", "error", "critical"}

// severity is 0 for what is no level.
func (e LogEntry) severity() int { return 1 + slices.Index(levels, e.Level) }

// unescape undoes absl::CEscape, whose escapes are Go's but for the single quote.
func unescape(s string) string {
	if u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `\'`, `'`) + `"`); err == nil {
		return u
	}
	return s
}
