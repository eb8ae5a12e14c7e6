package main

import (
	"errors"
	"strings"

	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

// example is a small configuration.
const example = `{"request":{"maxBytes":65536},"response":{"redact":["/user/email"]}}`

const (
	// maxRequest is what Envoy buffers, if nobody has told it otherwise: a request is held until it is judged.
	maxRequest = 1 << 20
	// maxResponse is only a number that fits: a response is not held.
	maxResponse = 1 << 30
	maxPointers = 64   // bits of a mask
	maxPointer  = 1024 // bytes of one
)

// config is what config.schema.json describes. The fixtures in testdata/config hold the two together.
type config struct{ request, response *side }

// A side is what bodies of one direction must be.
type side struct {
	maxBytes   int
	maxDepth   int
	redact     []string
	pointers   []pointer // what redact says
	with       []byte    // JSON in place of what is redacted
	compressed string
	otherTypes string
}

func parseConfig(data []byte) (config, error) {
	var c config
	request := side{maxBytes: 256 << 10, maxDepth: 32, with: []byte("null"), compressed: deny, otherTypes: deny}
	response := side{maxBytes: maxRequest, maxDepth: 32, with: []byte("null"), compressed: deny, otherTypes: pass}
	err := pluginconfig.Parse(data, example,
		pluginconfig.Optional("request", present(&c.request, &request, maxRequest)),
		pluginconfig.Optional("response", present(&c.response, &response, maxResponse)),
	)
	if err != nil {
		return config{}, err
	}
	if c.request == nil && c.response == nil {
		return config{}, errors.New(`want "request", "response" or both`)
	}
	for _, s := range []*side{c.request, c.response} {
		if s == nil {
			continue
		}
		for _, text := range s.redact {
			s.pointers = append(s.pointers, parsePointer(text))
		}
	}
	return c, nil
}

// present reads a side, and notes that there is one.
func present(to **side, s *side, maxBytes int) pluginconfig.Read {
	read := pluginconfig.Object(
		pluginconfig.Optional("maxBytes", pluginconfig.Int(&s.maxBytes, 2, maxBytes)),
		pluginconfig.Optional("maxDepth", pluginconfig.Int(&s.maxDepth, 1, 128)),
		pluginconfig.Optional("redact", pluginconfig.Texts(&s.redact, maxPointers, pointerText)),
		pluginconfig.Optional("with", pluginconfig.Scalar(func(kind, text string) error {
			if kind != "string" || len(text) > 256 {
				return errors.New("want a text of at most 256 bytes, or the field left out for null")
			}
			s.with = quote(text)
			return nil
		})),
		pluginconfig.Optional("compressed", pluginconfig.Text(&s.compressed, denyOrPass)),
		pluginconfig.Optional("otherTypes", pluginconfig.Text(&s.otherTypes, denyOrPass)),
	)
	return func(d *pluginconfig.Decoder) error {
		*to = s
		return read(d)
	}
}

// What happens to bodies that cannot be judged.
const (
	deny = "deny"
	pass = "pass"
)

func denyOrPass(s string) (string, error) {
	if s != deny && s != pass {
		return "", errors.New(`want "deny" or "pass"`)
	}
	return s, nil
}

// A pointer is a JSON pointer in its parts.
type pointer []string

// each is the part of a pointer that stands for each member or element.
const each = "*"

func pointerText(s string) (string, error) {
	ok := strings.HasPrefix(s, "/") && len(s) <= maxPointer && strings.Count(s, "/") <= 128
	for i := range len(s) {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			ok = false
		}
	}
	if !ok {
		return "", errors.New(`want a JSON pointer such as "/user/email" or "/users/*/email", of at most 1024 bytes`)
	}
	return s, nil
}

// parsePointer takes what pointerText has checked.
func parsePointer(s string) pointer {
	parts := strings.Split(s, "/")[1:]
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
	}
	return parts
}

// quote makes JSON of a text, which is valid UTF-8.
func quote(s string) []byte {
	const hex = "0123456789abcdef"
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
