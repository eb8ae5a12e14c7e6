package pluginconfig

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// settings has a field of each type.
type settings struct {
	text    string
	number  int
	flag    bool
	on      bool
	timeout time.Duration
	inner   string
	headers [][2]string
	list    []string
}

func parse(data string) (settings, error) {
	s := settings{text: "default", timeout: time.Second}
	err := Parse([]byte(data), "{}",
		Optional("text", Text(&s.text, HeaderName)),
		Optional("number", Int(&s.number, 1, 65535)),
		Optional("flag", Bool(&s.flag)),
		Optional("on", True(&s.on)),
		Optional("timeout", Duration(&s.timeout, "100ms", "2h")),
		Optional("object", Object(Required("inner", Text(&s.inner, HeaderValue)))),
		Optional("headers", Map(&s.headers, HeaderName, HeaderValue)),
		Optional("list", Texts(&s.list, 2, HeaderName)),
	)
	return s, err
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data string
		want       settings
	}{
		{"nothing", `{}`, settings{text: "default", timeout: time.Second}},
		{
			"everything", ` {"text":"X","number":65535,"flag":true,"on":true,"timeout":"150ms","object":{"inner":"y"},"headers":{"B":"1","a":"2"}} `,
			settings{"x", 65535, true, true, 150 * time.Millisecond, "y", [][2]string{{"b", "1"}, {"a", "2"}}, nil},
		},
		{"flag off, longest timeout", `{"flag":false,"timeout":"120m"}`, settings{text: "default", timeout: 2 * time.Hour}},
		{"list", `{"list":["A","b"]}`, settings{text: "default", timeout: time.Second, list: []string{"a", "b"}}},
		{"no headers", `{"headers":{}}`, settings{text: "default", timeout: time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(tt.data)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	// More than a guest's stack of 64 KiB could follow.
	deep := strings.Repeat(`[`, 20_000) + strings.Repeat(`]`, 20_000)
	const duration = `want a duration from "100ms" to "2h", with one unit of ms, s, m and h`
	tests := []struct{ name, data, err string }{
		{"absent", ``, `want a configuration such as {}`},
		{"no list", `{"list":"a"}`, `/list: want an array, got string`},
		{"empty list", `{"list":[]}`, `/list: want at least one`},
		{"list of numbers", `{"list":["a",1]}`, `/list/1: want a string, got number`},
		{"list with a bad text", `{"list":["a b"]}`, "/list/0: want a header name: letters, digits and !#$%&'*+-.^_`|~"},
		{"list with one twice", `{"list":["a","A"]}`, `/list/1: "a" is there twice`},
		{"list too long", `{"list":["a","b","c"]}`, `/list/2: want at most 2`},
		{"list cut", `{"list":["a"`, `/list: unexpected EOF, at byte 12`},
		{"list of lists", `{"list":[` + deep + `]}`, `/list/0: want a string, got array`},
		{"not an object", `[]`, `want an object, got array`},
		{"deep", deep, `want an object, got array`},
		{"deep text", `{"text":` + deep + `}`, `/text: want a string, got array`},
		{"deep unknown field", `{"x":` + deep + `}`, `/x: unknown field. known fields are "text", "number", "flag", "on", "timeout", "object", "headers" and "list"`},
		{"inner type", `{"object":{"inner":1}}`, `/object/inner: want a string, got number`},
		{"inner unknown", `{"object":{"outer":1}}`, `/object/outer: unknown field. the only known field is "inner"`},
		{"inner missing", `{"object":{}}`, `/object/inner: missing`},
		{"inner duplicate", `{"object":{"inner":"","inner":""}}`, `/object/inner: duplicate name`},
		{"inner syntax", `{"object":{"inner":nul}}`, `/object/inner: invalid character '}' in literal null (expecting 'l'), at byte 22`},
		{"number as text", `{"number":"1"}`, `/number: want a number, got string`},
		{"number too small", `{"number":0}`, `/number: want a whole number from 1 to 65535`},
		{"number too big", `{"number":65536}`, `/number: want a whole number from 1 to 65535`},
		{"number huge", `{"number":` + strings.Repeat("9", 400) + `}`, `/number: want a whole number from 1 to 65535`},
		{"number with exponent", `{"number":1e3}`, `/number: want a whole number from 1 to 65535`},
		{"flag as number", `{"flag":1}`, `/flag: want a boolean, got number`},
		{"off where only on makes sense", `{"on":false}`, `/on: want true, or the field left out`},
		{"duration as number", `{"timeout":2}`, `/timeout: want a string, got number`},
		{"duration without unit", `{"timeout":"2"}`, `/timeout: ` + duration},
		{"duration without number", `{"timeout":"s"}`, `/timeout: ` + duration},
		{"duration of two units", `{"timeout":"1m30s"}`, `/timeout: ` + duration},
		{"duration negative", `{"timeout":"-1s"}`, `/timeout: ` + duration},
		{"duration with fraction", `{"timeout":"1.5s"}`, `/timeout: ` + duration},
		{"duration too short", `{"timeout":"99ms"}`, `/timeout: ` + duration},
		{"duration too long", `{"timeout":"7201s"}`, `/timeout: ` + duration},
		{"duration that would overflow", `{"timeout":"9999999h"}`, `/timeout: ` + duration},
		{"map of numbers", `{"headers":{"a":1}}`, `/headers/a: want a string, got number`},
		{"map with bad name", `{"headers":{"a b":"1"}}`, "/headers/a b: want a header name: letters, digits and !#$%&'*+-.^_`|~"},
		{"map with names that fold", `{"headers":{"a":"1","A":"2"}}`, `/headers/A: duplicate name`},
		{"pointer is escaped", `{"a/b~":1}`, `/a~1b~0: unknown field. known fields are "text", "number", "flag", "on", "timeout", "object", "headers" and "list"`},
		{"trailing bytes", `{}x`, `unexpected bytes after the configuration, from byte 2`},
		{"cut", `{"flag":true`, `unexpected EOF, at byte 12`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(tt.data)
			require.EqualError(t, err, tt.err)
		})
	}
}

func TestHeaderName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "x-auth", "x_auth", "0", "!#$%&'*+-.^_`|~"} {
		got, err := HeaderName(name)
		require.NoError(t, err)
		require.Equal(t, name, got)
	}
	for _, name := range []string{"", " ", "a b", "a:", "a\r\n", "a\x00", "é", "(", "a,b", ":path", "Host", "TE"} {
		_, err := HeaderName(name)
		require.Error(t, err, "%q", name)
	}
}

func TestHeaderValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "a", "a b", "a\tb", "~!", strings.Repeat("a", maxHeaderValue)} {
		got, err := HeaderValue(value)
		require.NoError(t, err)
		require.Equal(t, value, got)
	}
	for _, value := range []string{" ", "\t", " a", "a ", "a\t", "a\r\nb", "a\x00", "a\x7f", "é", strings.Repeat("a", maxHeaderValue+1)} {
		_, err := HeaderValue(value)
		require.Error(t, err, "%q", value)
	}
}
