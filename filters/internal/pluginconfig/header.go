package pluginconfig

import (
	"errors"
	"strconv"
	"strings"
)

// maxHeaderValue is the longest header value in bytes. Most servers refuse more than 8 KiB in all headers together.
const maxHeaderValue = 8 << 10

// connectionHeaders belong to one connection or frame a message: whoever sets them breaks HTTP for the next hop. The proxy
// sets them itself.
var connectionHeaders = []string{
	"connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

// HeaderName checks the name of a header that a filter sets, and returns it in lower case, as the proxy has it.
func HeaderName(s string) (string, error) {
	if strings.HasPrefix(s, ":") {
		return "", errors.New("a filter must not set pseudo headers")
	}
	if !IsToken(s) {
		return "", errors.New("want a header name: letters, digits and !#$%&'*+-.^_`|~")
	}
	name := lower(s)
	for _, refused := range connectionHeaders {
		if name == refused {
			return "", errors.New(`a filter must not set "` + name + `": the proxy does`)
		}
	}
	return name, nil
}

// HeaderValue checks the value of a header that a filter sets. It must be what it will be on the wire, so no spaces at its ends.
func HeaderValue(s string) (string, error) {
	if len(s) > maxHeaderValue {
		return "", errors.New("longer than 8 KiB")
	}
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c > '~' {
			return "", errors.New("want printable ASCII, byte " + strconv.Itoa(i) + " is not")
		}
	}
	if s != "" && (s[0] <= ' ' || s[len(s)-1] <= ' ') {
		return "", errors.New("starts or ends with white space")
	}
	return s, nil
}

// IsToken tells whether s is a token of RFC 9110, as methods and header names are.
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// lower is strings.ToLower for a token, without the tables of Unicode.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}
