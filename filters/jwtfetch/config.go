package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

// example is the smallest configuration.
const example = `{"hosts":["api.example.com"],"upstream":{"host":"token.internal","port":80},"request":{"path":"/token"},` +
	`"token":{"json":"/access_token"},"lifetime":{"json":"/expires_in"}}`

// config is what config.schema.json describes. The fixtures in testdata/config hold the two together.
type config struct {
	hosts, paths []string
	upstream     struct {
		host    string
		port    int
		cluster string // never empty
	}
	clientAuth struct{ method, id, secretEnv string } // method is empty when there is none
	request    struct {
		method, path string
		headers      [][2]string
		body         string
		timeout      time.Duration
	}
	token struct { // one of header, json and text
		header, json string
		text         bool
		maxBytes     int
	}
	lifetime struct { // one or more, asked in the order of readExpiry
		json, jsonTime string
		jwt            bool
		fixed          time.Duration
	}
	refresh        time.Duration // zero: by the lifetime alone
	margin         time.Duration // zero: see config.until
	header, prefix string
	onMissing      string
	share          bool
	expose         struct{ header, prefix string } // header is empty when no client may see the token
}

func parseConfig(data []byte) (config, error) {
	c := config{header: "authorization", prefix: "Bearer ", onMissing: deny, share: true}
	c.request.method = "GET"
	c.request.timeout = 2 * time.Second
	c.token.maxBytes = usualToken
	err := pluginconfig.Parse(data, example,
		pluginconfig.Required("hosts", pluginconfig.Texts(&c.hosts, 64, hostPattern)),
		pluginconfig.Optional("paths", pluginconfig.Texts(&c.paths, 64, pathPattern)),
		pluginconfig.Required("upstream", pluginconfig.Object(
			pluginconfig.Required("host", pluginconfig.Text(&c.upstream.host, host)),
			pluginconfig.Required("port", pluginconfig.Int(&c.upstream.port, 1, 65535)),
			pluginconfig.Optional("cluster", pluginconfig.Text(&c.upstream.cluster, cluster)),
		)),
		pluginconfig.Optional("clientAuth", pluginconfig.Object(
			pluginconfig.Required("method", pluginconfig.Text(&c.clientAuth.method, authMethod)),
			pluginconfig.Required("id", pluginconfig.Text(&c.clientAuth.id, clientID)),
			pluginconfig.Required("secretEnv", pluginconfig.Text(&c.clientAuth.secretEnv, variable)),
		)),
		pluginconfig.Required("request", pluginconfig.Object(
			pluginconfig.Optional("method", pluginconfig.Text(&c.request.method, method)),
			pluginconfig.Required("path", pluginconfig.Text(&c.request.path, path)),
			pluginconfig.Optional("headers", pluginconfig.Map(&c.request.headers, pluginconfig.HeaderName, headerTemplate)),
			pluginconfig.Optional("body", pluginconfig.Text(&c.request.body, body)),
			pluginconfig.Optional("timeout", pluginconfig.Duration(&c.request.timeout, "10ms", "60s")),
		)),
		pluginconfig.Required("token", pluginconfig.Object(
			pluginconfig.Optional("header", pluginconfig.Text(&c.token.header, pluginconfig.HeaderName)),
			pluginconfig.Optional("json", pluginconfig.Text(&c.token.json, pointer)),
			pluginconfig.Optional("text", pluginconfig.True(&c.token.text)),
			pluginconfig.Optional("maxBytes", pluginconfig.Int(&c.token.maxBytes, 1, maxToken)),
		)),
		pluginconfig.Required("lifetime", pluginconfig.Object(
			pluginconfig.Optional("json", pluginconfig.Text(&c.lifetime.json, pointer)),
			pluginconfig.Optional("jsonTime", pluginconfig.Text(&c.lifetime.jsonTime, pointer)),
			pluginconfig.Optional("jwt", pluginconfig.True(&c.lifetime.jwt)),
			pluginconfig.Optional("fixed", pluginconfig.Duration(&c.lifetime.fixed, "1s", "720h")),
		)),
		pluginconfig.Optional("refresh", pluginconfig.Duration(&c.refresh, "1s", "720h")),
		pluginconfig.Optional("margin", pluginconfig.Duration(&c.margin, "1ms", "24h")),
		pluginconfig.Optional("header", pluginconfig.Text(&c.header, pluginconfig.HeaderName)),
		pluginconfig.Optional("prefix", pluginconfig.Text(&c.prefix, prefix)),
		pluginconfig.Optional("onMissing", pluginconfig.Text(&c.onMissing, onMissing)),
		pluginconfig.Optional("share", pluginconfig.Bool(&c.share)),
		pluginconfig.Optional("exposeTokenToClients", pluginconfig.Object(
			pluginconfig.Required("header", pluginconfig.Text(&c.expose.header, pluginconfig.HeaderName)),
			pluginconfig.Optional("prefix", pluginconfig.Text(&c.expose.prefix, prefix)),
		)),
	)
	if err != nil {
		return config{}, err
	}
	if err := c.check(); err != nil {
		return config{}, err
	}
	if c.upstream.cluster == "" {
		// As Istio names the cluster of a service for the proxies that call it.
		c.upstream.cluster = "outbound|" + strconv.Itoa(c.upstream.port) + "||" + c.upstream.host
	}
	return c, nil
}

// check checks fields that depend on each other.
func (c *config) check() error {
	switch {
	case count(c.token.header != "", c.token.json != "", c.token.text) != 1:
		return pluginconfig.Error("/token", `want exactly one of "header", "json" and "text"`)
	case count(c.lifetime.json != "", c.lifetime.jsonTime != "", c.lifetime.jwt, c.lifetime.fixed != 0) == 0:
		return pluginconfig.Error("/lifetime", `want one or more of "json", "jsonTime", "jwt" and "fixed"`)
	case c.clientAuth.method == form && c.request.method == "GET":
		return pluginconfig.Error("/clientAuth/method", `"form" puts the client into the body. want /request/method "POST"`)
	}
	for _, h := range c.request.headers {
		if h[0] == "authorization" && c.clientAuth.method == basic {
			return pluginconfig.Error("/request/headers/authorization", "clientAuth sets it")
		}
	}
	return nil
}

// The values of clientAuth.method: where the client says who it is.
const (
	basic = "basic" // in the header authorization
	form  = "form"  // in the body
)

func authMethod(s string) (string, error) {
	if s != basic && s != form {
		return "", errors.New(`want "basic" or "form"`)
	}
	return s, nil
}

func clientID(s string) (string, error) {
	if s == "" || len(s) > 512 || !all(s, func(c byte) bool { return isVisible(c) || c == ' ' }) {
		return "", errors.New("want 1 to 512 bytes of printable ASCII")
	}
	return s, nil
}

// The values of onMissing: what happens to a request while there is no valid token.
const (
	deny = "deny"
	pass = "pass"
)

func onMissing(s string) (string, error) {
	if s != deny && s != pass {
		return "", errors.New(`want "deny" or "pass"`)
	}
	return s, nil
}

func host(s string) (string, error) {
	if len(s) > 253 || !all(s, func(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '-' }) ||
		!isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return "", errors.New(`want a host name in lower case, such as "token.internal"`)
	}
	return s, nil
}

func cluster(s string) (string, error) {
	if len(s) > 512 || !all(s, isVisible) {
		return "", errors.New(`want the name of a cluster, such as "outbound|80||token.internal"`)
	}
	return s, nil
}

func method(s string) (string, error) {
	if s != "GET" && s != "POST" && s != "PUT" {
		return "", errors.New(`want "GET", "POST" or "PUT"`)
	}
	return s, nil
}

func path(s string) (string, error) {
	if len(s) > 2048 || !strings.HasPrefix(s, "/") || !all(s, func(c byte) bool { return isVisible(c) && c != '#' }) {
		return "", errors.New(`want a path that starts with "/", percent-encoded and at most 2 KiB long`)
	}
	return s, nil
}

func body(s string) (string, error) {
	if len(s) > 8<<10 {
		return "", errors.New("longer than 8 KiB")
	}
	return s, checkTemplate(s)
}

// headerTemplate checks the value of a header before its variables have theirs.
func headerTemplate(s string) (string, error) {
	s, err := pluginconfig.HeaderValue(s)
	if err == nil {
		err = checkTemplate(s)
	}
	return s, err
}

// pointer checks a JSON pointer to a value inside a document. The document itself is no token and no number of seconds.
func pointer(s string) (string, error) {
	if p := jsontext.Pointer(s); s == "" || !p.IsValid() || strings.Count(s, "/") > maxDepth {
		return "", errors.New(`want a JSON pointer such as "/access_token"`)
	}
	return s, nil
}

// prefix checks what stands before the token in a header. It may end with a space, but not start with one.
func prefix(s string) (string, error) {
	if s != "" && (len(s) > 64 || s[0] == ' ' || !all(s, func(c byte) bool { return isVisible(c) || c == ' ' })) {
		return "", errors.New("want at most 64 bytes of printable ASCII that do not start with a space")
	}
	return s, nil
}

// all tells whether s has bytes and all of them are allowed.
func all(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// isVisible tells whether c is printable ASCII and no space.
func isVisible(c byte) bool { return ' ' < c && c <= '~' }

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}
