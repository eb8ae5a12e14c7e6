package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
)

func newSide(redact ...string) *side {
	s := &side{maxBytes: 1 << 20, maxDepth: 5, with: []byte(`"*"`), redact: redact}
	for _, text := range redact {
		s.pointers = append(s.pointers, parsePointer(text))
	}
	return s
}

// check reads a document in pieces of so many bytes.
func check(s *side, document string, size int) (string, error) {
	c := newChecker(s)
	var out []byte
	for rest := []byte(document); len(rest) > 0; {
		n := min(size, len(rest))
		var err error
		if out, err = c.write(rest[:n], out); err != nil {
			return string(out), err
		}
		rest = rest[n:]
	}
	return string(out), c.end()
}

func TestStrict(t *testing.T) {
	t.Parallel()
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"n%d":0,`, i)
		}
		return "{" + b.String() + last + "}"
	}
	for _, document := range []string{
		`{}`, `[]`, ` { } `, "\t\r\n[ ]\n", `0`, `-0`, `-0.0e-0`, `1E+5 `, `12.5e10`, `1.0`, `true`, `false`, `null`, `""`, `"a"`, `[1,2]`, `{"a":1,"b":[{"a":1},{"a":1}]}`,
		`{"a":{"a":{"a":1}}}`, `"\"\\\/\b\f\n\r\t\u0041\uD83D\uDE00"`, `"ä€😀"`, "\"\u007f\ufffd\U0010ffff\"", `{"":1}`, `{"a":1,"A":2}`, `[[[[[]]]]]`, `"\u0000"`,
		many(fewNames, `"a":0`), many(100, `"a":0`), `[{"a":0},{"a":0}]`,
	} {
		for _, size := range []int{1, 2, 3, 1000} {
			_, err := check(newSide(), document, size)
			require.NoError(t, err, document)
			kept, err := check(newSide("/none"), document, size)
			require.NoError(t, err)
			require.Equal(t, document, kept, "what is not redacted stays byte by byte")
		}
	}
	for document, want := range map[string]error{
		``: errCut, ` `: errCut, `{`: errCut, `{"a"`: errCut, `{"a":`: errCut, `{"a":1`: errCut, `[1,`: errCut, `"`: errCut, `"\u00`: errCut, `tru`: errCut,
		`nope`: errSyntax, `True`: errSyntax, `{a:1}`: errSyntax, `{'a':1}`: errSyntax, `{"a" 1}`: errSyntax, `{"a":1,}`: errSyntax, `[1,]`: errSyntax, `[,1]`: errSyntax, `[1 2]`: errSyntax,
		`{"a":1]`: errSyntax, `[1}`: errSyntax, `{1:2}`: errSyntax, `01`: errSyntax, `-`: errSyntax, `+1`: errSyntax, `1.`: errSyntax, `.5`: errSyntax, `1e`: errSyntax, `1e+`: errSyntax, `1.e1`: errSyntax,
		`0x1`: errTrailing, `--1`: errSyntax, `1-`: errSyntax, `NaN`: errSyntax, `Infinity`: errSyntax, `[1,2`: errCut, "\"a\nb\"": errSyntax, "\"\x00\"": errSyntax, `"\x"`: errSyntax, `"\u12g4"`: errSyntax,
		"\xef\xbb\xbf{}": errSyntax, "\x0b{}": errSyntax, "\u00a0{}": errSyntax, `/**/{}`: errSyntax, `{}//`: errTrailing, `{} {}`: errTrailing, `1 2`: errTrailing, `{}]`: errTrailing, "null\x00": errTrailing,
		"\"\xff\"": errUTF8, "\"\xc0\xae\"": errUTF8, "\"\xe0\x80\xae\"": errUTF8, "\"\xed\xa0\x80\"": errUTF8, "\"\xf4\x90\x80\x80\"": errUTF8, "\"\xc3\"": errUTF8, "\"\x80\"": errUTF8, "\"\xc3": errCut,
		`"\ud83d"`: errSurrogate, `"\ud83dx"`: errSurrogate, `"\ud83d\n"`: errSurrogate, `"\ud83d\u0041"`: errSurrogate, `"\ud83d\ud83d"`: errSurrogate, `"\ude00"`: errSurrogate,
		`{"a":1,"a":2}`: errDuplicate, `{"a":1,"b":{},"a":2}`: errDuplicate, `{"a":1,"\u0061":2}`: errDuplicate, `{"":1,"":2}`: errDuplicate, `[{"x":[{"a":1,"a":1}]}]`: errDuplicate,
		`{"😀":1,"\ud83d\uDE00":2}`: errDuplicate, `{"/":1,"\/":2}`: errDuplicate, many(fewNames, `"n0":0`): errDuplicate, many(100, `"n99":0`): errDuplicate,
		`[[[[[[]]]]]]`: errTooDeep, `[[[[[{}]]]]]`: errTooDeep, many(maxNames, `"a":0`): errNames,
	} {
		for _, size := range []int{1, 2, 3, 1 << 20} {
			s := newSide()
			_, err := check(s, document, size)
			require.ErrorContains(t, err, want.Error(), "%.100q", document)
		}
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := newSide()
	s.maxBytes = 10
	for _, size := range []int{1, 3, 100} {
		_, err := check(s, `"12345678"`, size)
		require.NoError(t, err)
		_, err = check(s, `"12345678" `, size)
		require.ErrorIs(t, err, errTooLarge)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		redact         []string
		document, want string
	}{
		{[]string{"/a"}, `{"a":"secret","b":1}`, `{"a":"*","b":1}`},
		{[]string{"/a"}, ` { "a" : "secret" , "b":1 } `, ` { "a" : "*" , "b":1 } `},
		{[]string{"/a"}, `{"a":12.5e3}`, `{"a":"*"}`},
		{[]string{"/a"}, `{"a":1,"b":2}`, `{"a":"*","b":2}`},
		{[]string{"/a"}, `{"a":1 ,"b":2}`, `{"a":"*" ,"b":2}`},
		{[]string{"/a"}, `{"a":null}`, `{"a":"*"}`},
		{[]string{"/a"}, `{"a":{"b":[1,{"c":"}"}]},"d":0}`, `{"a":"*","d":0}`},
		{[]string{"/a"}, `{"a":[],"b":{}}`, `{"a":"*","b":{}}`},
		{[]string{"/a"}, `{"\u0061":"secret"}`, `{"\u0061":"*"}`},
		{[]string{"/a"}, `{"b":{"a":1},"A":2}`, `{"b":{"a":1},"A":2}`},
		{[]string{"/a"}, `["a"]`, `["a"]`},
		{[]string{"/a"}, `"a"`, `"a"`},
		{[]string{"/a/b"}, `{"a":{"b":1,"c":2},"b":3}`, `{"a":{"b":"*","c":2},"b":3}`},
		{[]string{"/a/b"}, `{"a":[{"b":1}]}`, `{"a":[{"b":1}]}`},
		{[]string{"/0"}, `[1,2]`, `["*",2]`},
		{[]string{"/1/a"}, `[{"a":1},{"a":2}]`, `[{"a":1},{"a":"*"}]`},
		{[]string{"/01"}, `[1,2]`, `[1,2]`},
		{[]string{"/0"}, `{"0":1}`, `{"0":"*"}`},
		{[]string{"/*/a"}, `[{"a":1},{"b":2,"a":[3]},4]`, `[{"a":"*"},{"b":2,"a":"*"},4]`},
		{[]string{"/*"}, `[1,"b",{}]`, `["*","*","*"]`},
		{[]string{"/*/*"}, `{"a":{"b":1},"c":[2]}`, `{"a":{"b":"*"},"c":["*"]}`},
		{[]string{"/a~1b", "/~0"}, `{"a/b":1,"~":2}`, `{"a/b":"*","~":"*"}`},
		{[]string{"/"}, `{"":1,"a":2}`, `{"":"*","a":2}`},
		{[]string{"/a", "/a/b", "/c"}, `{"a":{"b":1},"c":2}`, `{"a":"*","c":"*"}`},
		{[]string{"/😀"}, `{"\ud83d\ude00":1,"😁":2}`, `{"\ud83d\ude00":"*","😁":2}`},
	} {
		for _, size := range []int{1, 2, 3, 5, 1000} {
			got, err := check(newSide(tt.redact...), tt.document, size)
			require.NoError(t, err, tt.document)
			require.Equal(t, tt.want, got, "%v in pieces of %d", tt.redact, size)
		}
	}
}

// What was read when a document turns out to be wrong has nothing that is redacted, and the error has nothing of the document.
func TestNothingOfASecretBeforeAnError(t *testing.T) {
	t.Parallel()
	for _, document := range []string{`{"a":"secret`, `{"a":["secret"`, `{"a":"secret","b":nope}`, `{"a":"secret"}}`, "{\"a\":\"secret\xff\"}", `{"a":{"secret":1,"secret":2}}`} {
		for _, size := range []int{1, 4, 1000} {
			got, err := check(newSide("/a"), document, size)
			require.Error(t, err)
			require.NotContains(t, got, "secret")
			require.NotContains(t, err.Error(), "secret")
		}
	}
}

func TestPointersOfAllBits(t *testing.T) {
	t.Parallel()
	var redact []string
	var in, want strings.Builder
	for i := range maxPointers {
		redact = append(redact, "/n"+strconv.Itoa(i))
		fmt.Fprintf(&in, `,"n%d":%d`, i, i)
		fmt.Fprintf(&want, `,"n%d":"*"`, i)
	}
	got, err := check(newSide(redact...), `{"x":0`+in.String()+`}`, 7)
	require.NoError(t, err)
	require.Equal(t, `{"x":0`+want.String()+`}`, got)
}

// It takes what jsontext takes, in pieces of any size, and its redacted document is the one of a program that reads all of it first.
func FuzzChecker(f *testing.F) {
	for _, document := range []string{`{"a":[1,{"b":"c"}],"b":-0.5e+7}`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `[[[[[[]]]]]]`, `{"a":{"b":{"c":null}}}`, "\"\xed\xa0\x80\"", ` 12 `, `[{"b":1},{"b":[true]}]`} {
		f.Add(document, uint8(3))
	}
	s := newSide("/a", "/b/0", "/*/b", "/c/*/d")
	s.maxDepth = 128
	f.Fuzz(func(t *testing.T, document string, size uint8) {
		got, err := check(s, document, int(size)+1)
		whole, errWhole := check(s, document, len(document)+1)
		require.Equal(t, errWhole == nil, err == nil)
		d := jsontext.NewDecoder(bytes.NewReader([]byte(document)))
		_, want := d.ReadValue()
		if want == nil {
			if _, more := d.ReadToken(); more != io.EOF {
				want = fmt.Errorf("something follows")
			}
		}
		if err != nil && (strings.Contains(err.Error(), errTooDeep.Error()) || strings.Contains(err.Error(), errNames.Error())) {
			return
		}
		require.Equal(t, want == nil, err == nil, "jsontext: %v, and this: %v", want, err)
		if err != nil {
			return
		}
		require.Equal(t, whole, got)
		require.Equal(t, redacted(t, s, document), redacted(t, newSide(), got))
	})
}

// redacted is the document as a program would redact it that has all of it.
func redacted(t *testing.T, s *side, document string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(document))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	var walk func(v any, pointers []pointer) any
	walk = func(v any, pointers []pointer) any {
		for _, p := range pointers {
			if len(p) == 0 {
				return "*"
			}
		}
		into := func(token string) (further []pointer) {
			for _, p := range pointers {
				if p[0] == token || p[0] == each {
					further = append(further, p[1:])
				}
			}
			return further
		}
		switch v := v.(type) {
		case map[string]any:
			for name := range v {
				v[name] = walk(v[name], into(name))
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i], into(strconv.Itoa(i)))
			}
		}
		return v
	}
	out, err := json.Marshal(walk(v, s.pointers))
	require.NoError(t, err)
	return string(out)
}

// A document as large as one can be takes no more time than it has bytes.
func TestManyNames(t *testing.T) {
	t.Parallel()
	s := newSide("/*/x")
	s.maxBytes = 64 << 20
	c := newChecker(s)
	var out []byte
	var err error
	for i := range 200_000 {
		piece := fmt.Sprintf(`,{"x":%d,"y%d":[]}`, rand.IntN(1e9), i)
		if i == 0 {
			piece = "[" + piece[1:]
		}
		out, err = c.write([]byte(piece), out[:0])
		require.NoError(t, err)
		require.Contains(t, string(out), `"x":"*"`)
	}
	_, err = c.write([]byte("]"), nil)
	require.NoError(t, err)
	require.NoError(t, c.end())
	require.Equal(t, 200_000, c.redacted)
	require.LessOrEqual(t, cap(c.levels), 8)
}
