package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

// example is the smallest configuration.
const example = `{"consumers":[{"name":"web","sha256":["<SHA-256 of a key, in hex>"]}]}`

// What a configuration may have at most. All hashes are compared for each request, so their number is a cost.
const (
	maxConsumers = 256
	maxKeys      = 8
	maxOpen      = 64
	maxWords     = 5 // of the consumer's header: see spellings
)

// config is what config.schema.json describes. The fixtures in testdata/config hold the two together.
type config struct {
	header         string
	consumerHeader string
	consumers      []consumer
	open           []string
}

// A consumer is somebody who has keys: two while one replaces the other.
type consumer struct {
	name   string
	sha256 []string // in lower case
}

func parseConfig(data []byte) (config, error) {
	c := config{header: "x-api-key", consumerHeader: "x-consumer"}
	err := pluginconfig.Parse(data, example,
		pluginconfig.Optional("header", pluginconfig.Text(&c.header, pluginconfig.HeaderName)),
		pluginconfig.Optional("consumerHeader", pluginconfig.Text(&c.consumerHeader, consumerHeader)),
		pluginconfig.Required("consumers", pluginconfig.List(&c.consumers, maxConsumers, func(to *consumer) pluginconfig.Read {
			return pluginconfig.Object(
				pluginconfig.Required("name", pluginconfig.Text(&to.name, consumerName)),
				pluginconfig.Required("sha256", pluginconfig.Texts(&to.sha256, maxKeys, keyHash)),
			)
		})),
		pluginconfig.Optional("open", pluginconfig.Texts(&c.open, maxOpen, openPath)),
	)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return config{}, err
	}
	return c, nil
}

// check checks fields that depend on each other.
func (c *config) check() error {
	if len(c.consumers) == 0 {
		return pluginconfig.Error("/consumers", "want at least one")
	}
	for _, spelling := range spellings(c.consumerHeader) {
		if spelling == c.header {
			return pluginconfig.Error("/consumerHeader", `want another header than that of the key, "`+c.header+`"`)
		}
	}
	for i, consumer := range c.consumers {
		where := "/consumers/" + strconv.Itoa(i)
		for _, other := range c.consumers[:i] {
			if consumer.name == other.name {
				return pluginconfig.Error(where+"/name", `"`+consumer.name+`" is there twice`)
			}
			// Who of the two it is would be chance.
			if share(consumer.sha256, other.sha256) {
				return pluginconfig.Error(where+"/sha256", "this key is another consumer's, too")
			}
		}
	}
	return nil
}

func share(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// hashes are those of all keys, in bytes.
func (c *config) hashes() []knownKey {
	var known []knownKey
	for _, consumer := range c.consumers {
		for _, text := range consumer.sha256 {
			k := knownKey{consumer: consumer.name}
			for i := range k.hash {
				k.hash[i] = digit(text[2*i])<<4 | digit(text[2*i+1])
			}
			known = append(known, k)
		}
	}
	return known
}

// digit is the value of a hexadecimal digit in lower case. encoding/hex brings fmt, 20 kB.
func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}

// consumerHeader checks the name of the header that says who it is. Each of its dashes doubles the spellings that are removed.
func consumerHeader(s string) (string, error) {
	name, err := pluginconfig.HeaderName(s)
	if err == nil && words(name) > maxWords {
		return "", errors.New("want at most " + strconv.Itoa(maxWords-1) + " dashes and underscores")
	}
	return name, err
}

func consumerName(s string) (string, error) {
	if len(s) > 128 || !pluginconfig.IsToken(s) {
		return "", errors.New("want a name of at most 128 letters, digits and !#$%&'*+-.^_`|~")
	}
	return s, nil
}

// emptyKey is the hash of no key at all, which is what a script makes of a variable that is not set.
const emptyKey = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func keyHash(s string) (string, error) {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'F' {
			b[i] = c + ('a' - 'A')
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			b = nil
			break
		}
	}
	// The text is not quoted: it may be the key itself, put here by mistake.
	switch {
	case len(b) != 2*sha256Size:
		return "", errors.New(`want the SHA-256 of a key, 64 hexadecimal digits, as of printf %s "$KEY" | sha256sum`)
	case string(b) == emptyKey:
		return "", errors.New("this is the SHA-256 of no bytes at all, not of a key")
	}
	return string(b), nil
}

func openPath(s string) (string, error) {
	fixed := strings.TrimSuffix(s, "*")
	switch {
	case s == "/*":
		return "", errors.New("this opens everything")
	case len(s) > 1024 || !isPlain(fixed) || strings.Contains(fixed, "*") || fixed != s && !strings.HasSuffix(fixed, "/"):
		return "", errors.New(`want a path such as "/healthz", or what is below one, such as "/public/*": without query, "%", ";", "//", "." and ".."`)
	}
	return s, nil
}
