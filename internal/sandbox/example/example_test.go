package example

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/err/*.out")

// What is refused, and how: err/x.yaml and the errors in err/x.out.
func TestRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/err/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Read(file)
			require.Error(t, err)
			out := strings.TrimSuffix(file, ".yaml") + ".out"
			if *update {
				require.NoError(t, os.WriteFile(out, []byte(err.Error()+"\n"), 0o644))
			}
			want, failed := os.ReadFile(out)
			require.NoError(t, failed)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

func TestRead(t *testing.T) {
	e, err := Read("testdata/ok/everything.yaml")
	require.NoError(t, err)
	service := e.Services["token.internal:80"]
	require.Equal(t, 0, *service.Calls)
	require.Equal(t, Values{"a", "b"}, service.Answers[2].Headers["x-token"])
	require.Equal(t, 10*time.Millisecond, service.Answers[0].Delay)
	absent, given := service.Sees.Headers["authorization"]
	require.True(t, given)
	require.Empty(t, absent)
	require.Equal(t, Values{"mine"}, e.Requests[0].Headers["x-mine"])
	require.False(t, *e.Requests[1].Upstream.Reached)
}

// Every key of the structures is in docs/examples.md.
func TestDifferences(t *testing.T) {
	body := "/^x/"
	m := &Message{Method: "GET", Path: "/", Status: 200, Headers: map[string][]string{"a": {"1", "2"}}, Body: "y"}
	yes, no := true, false
	for name, tc := range map[string]struct {
		want *Want
		got  *Message
		says []string
	}{
		"nothing wanted":  {nil, m, nil},
		"all as wanted":   {&Want{Status: 200, Method: "GET", Path: "/", Headers: map[string]Values{"a": {"1", "/^.$/"}, "b": nil}}, m, nil},
		"status":          {&Want{Status: 404}, m, []string{`client: status: want 404, got 200: "y"`}},
		"method and path": {&Want{Method: "PUT", Path: "/x"}, m, []string{"client: method: want PUT, got GET", "client: path: want /x, got /"}},
		"header absent":   {&Want{Headers: map[string]Values{"a": nil}}, m, []string{`client: header a: want none, got "1", "2"`}},
		"header missing":  {&Want{Headers: map[string]Values{"b": {"x"}}}, m, []string{`client: header b: want "x", got none`}},
		"one of two":      {&Want{Headers: map[string]Values{"a": {"1"}}}, m, []string{`client: header a: want "1", got "1", "2"`}},
		"body":            {&Want{Body: &body}, m, []string{`client: body: want "/^x/", got "y"`}},
		"not reached":     {&Want{Status: 200}, nil, []string{"client was not reached"}},
		"reached":         {&Want{Reached: &no}, m, []string{"client must not be reached"}},
		"as it must be":   {&Want{Reached: &no}, nil, nil},
		"reached at all":  {&Want{Reached: &yes}, m, nil},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.says, tc.want.Differences("client", tc.got)) })
	}
}

// docs/examples.md names every key and every fault.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/examples.md")
	require.NoError(t, err)
	for _, of := range []any{Example{}, Service{}, Answer{}, Request{}, Want{}} {
		for field := range reflect.TypeOf(of).Fields() {
			if key := field.Tag.Get("yaml"); key != "" && key != "-" {
				require.Regexp(t, "(?m)^\\| .*`"+key+"`.* \\|", string(doc), "key of %T", of)
			}
		}
	}
	for _, fault := range Faults {
		require.Contains(t, string(doc), "`"+fault+"` (")
	}
}
