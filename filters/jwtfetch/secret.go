package main

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

// A secret is not in the configuration, which everyone can read who can read the Istio object or the proxy's dump: it is in the
// environment that the proxy gives to the VM, and the configuration has the name of the variable.

// outgoing is what is sent to the token service, with the values of the variables.
func (c *config) outgoing(lookup func(string) string) (headers [][2]string, body []byte, failed *failure) {
	e := expander{lookup: lookup}
	for _, h := range c.request.headers {
		value := e.expand(h[1])
		if _, err := pluginconfig.HeaderValue(value); err != nil && e.failed == nil {
			e.fail("the value of the request's header " + h[0] + ", with its variables, is none: " + err.Error())
		}
		headers = append(headers, [2]string{h[0], value})
	}
	text := e.expand(c.request.body)
	switch c.clientAuth.method {
	case basic:
		credentials := escape(c.clientAuth.id) + ":" + escape(e.value(c.clientAuth.secretEnv))
		headers = append(headers, [2]string{"authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))})
	case form:
		if text != "" {
			text += "&"
		}
		text += "client_id=" + escape(c.clientAuth.id) + "&client_secret=" + escape(e.value(c.clientAuth.secretEnv))
		if !has(headers, "content-type") {
			headers = append(headers, [2]string{"content-type", "application/x-www-form-urlencoded"})
		}
	}
	return headers, []byte(text), e.failed
}

func has(headers [][2]string, name string) bool {
	for _, h := range headers {
		if h[0] == name {
			return true
		}
	}
	return false
}

// An expander puts values for ${NAME}. Its first failure stays.
type expander struct {
	lookup func(string) string
	failed *failure
}

func (e *expander) fail(text string) { e.failed = &failure{reason: noSecret, text: text} }

// value is the value of a variable. The Secret that it comes from often ends with the line break of an editor.
func (e *expander) value(name string) string {
	v := trim(e.lookup(name))
	if v == "" && e.failed == nil {
		e.failed = &failure{reason: noSecret, variable: name, text: `the environment of the filter has no variable "` + name +
			`". it comes from vmConfig.env of the plugin and the environment of the istio-proxy container`}
	}
	return v
}

func (e *expander) expand(template string) string {
	var b strings.Builder
	for {
		text, name, rest, ok := reference(template)
		b.WriteString(text)
		if !ok {
			return b.String()
		}
		b.WriteString(e.value(name))
		template = rest
	}
}

// reference finds the first ${NAME}: the text before it, its name and the rest.
func reference(template string) (text, name, rest string, ok bool) {
	text, rest, ok = strings.Cut(template, "${")
	if !ok {
		return template, "", "", false
	}
	name, rest, _ = strings.Cut(rest, "}")
	return text, name, rest, true
}

func checkTemplate(template string) error {
	for {
		_, name, rest, ok := reference(template)
		if !ok {
			return nil
		}
		if _, err := variable(name); err != nil || !strings.Contains(template, "}") {
			return errors.New(`after "${" want the name of a variable and "}", such as "${CLIENT_SECRET}"`)
		}
		template = rest
	}
}

func variable(s string) (string, error) {
	if len(s) > 128 || !all(s, func(c byte) bool { return 'A' <= c && c <= 'Z' || isAlphanumeric(c) || c == '_' }) || isDigit(s[0]) {
		return "", errors.New(`want the name of a variable, such as "CLIENT_SECRET"`)
	}
	return s, nil
}

// escape encodes for application/x-www-form-urlencoded. RFC 6749 wants it for Basic, too.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case 'A' <= c && c <= 'Z' || isAlphanumeric(c) || strings.IndexByte("-._~*", c) >= 0:
			b.WriteByte(c)
		case c == ' ':
			b.WriteByte('+')
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
