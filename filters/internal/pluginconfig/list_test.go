package pluginconfig

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// listed has what a filter of somebody else's may want: texts, objects and a type of its own.
type listed struct {
	names []string
	rules []struct{ from, to string }
	level string
}

func parseListed(data string) (listed, error) {
	var l listed
	err := Parse([]byte(data), "{}",
		Optional("names", List(&l.names, 2, func(to *string) Read { return Text(to, HeaderName) })),
		Optional("rules", List(&l.rules, 9, func(to *struct{ from, to string }) Read {
			return Object(Required("from", Text(&to.from, HeaderName)), Required("to", Text(&to.to, HeaderName)))
		})),
		Optional("level", Scalar(func(kind, text string) error {
			if kind != "string" && kind != "number" && kind != "boolean" {
				return errors.New("want a level")
			}
			l.level = kind + " " + text
			return nil
		})),
	)
	return l, err
}

func TestList(t *testing.T) {
	t.Parallel()
	got, err := parseListed(`{"names":["A","b"],"rules":[{"from":"x","to":"y"},{"from":"y","to":"z"}],"level":1e3}`)
	require.NoError(t, err)
	require.Equal(t, listed{[]string{"a", "b"}, []struct{ from, to string }{{"x", "y"}, {"y", "z"}}, "number 1e3"}, got)
	got, err = parseListed(`{"names":[],"level":false}`)
	require.NoError(t, err)
	require.Equal(t, listed{level: "boolean false"}, got)

	for data, want := range map[string]string{
		`{"names":"a"}`:                  `/names: want an array, got string`,
		`{"names":["a",1]}`:              `/names/1: want a string, got number`,
		`{"names":["a","b","c"]}`:        `/names/2: want at most 2 elements`,
		`{"names":["a"`:                  `/names: unexpected EOF, at byte 13`,
		`{"rules":[{"from":"x"}]}`:       `/rules/0/to: missing`,
		`{"rules":[{"from":"x","o":1}]}`: `/rules/0/o: unknown field. known fields are "from" and "to"`,
		`{"level":{}}`:                   `/level: want one value, got object`,
		`{"level":null}`:                 `/level: want a level`,
	} {
		_, err := parseListed(data)
		require.EqualError(t, err, want, data)
	}
}
