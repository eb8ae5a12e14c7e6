package sandbox

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Serve serves h on a free port of the loopback until stop is called.
func Serve(h http.Handler) (addr netip.AddrPort, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // ends when it is closed
	return l.Addr().(*net.TCPAddr).AddrPort(), func() { _ = server.Close() }, nil
}

// Request is a request as it reached the backend.
type Request struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"` // names in lower case, repeated ones joined as RFC 9110 says
}

// Echo is a backend that answers with the request it got. The path /status/404 makes it answer with that status.
var Echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	request := Request{r.Method, r.URL.RequestURI(), map[string]string{"host": r.Host}}
	for name, values := range r.Header {
		request.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	w.Header().Set("content-type", "application/json")
	if code, ok := strings.CutPrefix(r.URL.Path, "/status/"); ok {
		if n, err := strconv.Atoi(code); err == nil && n >= 200 && n <= 599 {
			w.WriteHeader(n)
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	_ = enc.Encode(request) // a client that went away is no concern of ours
})

// TokenLifetime is how long the tokens of Tokens are valid.
const TokenLifetime = 5 * time.Minute

// Tokens is a token service: each answer has a new token, in the header authorization and in the body as OAuth 2 has it.
var Tokens = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	token := newJWT(time.Now())
	w.Header().Set("authorization", "Bearer "+token)
	w.Header().Set("content-type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, token, int(TokenLifetime.Seconds()))
})

var signingKey = []byte(rand.Text())

// newJWT is a token of the form that real services give. Nobody can verify it: the key is thrown away.
func newJWT(now time.Time) string {
	part := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":"wasmfleet run","iat":%d,"exp":%d,"jti":%q}`, now.Unix(), now.Add(TokenLifetime).Unix(), rand.Text())
	signed := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part([]byte(claims))
	mac := hmac.New(sha256.New, signingKey)
	mac.Write([]byte(signed))
	return signed + "." + part(mac.Sum(nil))
}
