package main

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep a document may be nested.
const maxDepth = 16

// A scalar is what a JSON document has at a pointer: a string, a number or another value that holds no more. null is nothing.
type scalar struct {
	kind jsontext.Kind // 0: there is nothing
	text string
	n    int // how many there are, as names may come twice
}

// find reads a document to its end and returns what is at each pointer. An empty pointer finds nothing.
//
// What nobody points to may be anything: names that come twice, text in another encoding. It reads token by token with a bounded
// depth: reading whole values would recurse, and a guest's stack is 64 KiB.
func find(document []byte, pointers ...string) ([]scalar, error) {
	found := make([]scalar, len(pointers))
	d := jsontext.NewDecoder(bytes.NewBuffer(withoutMark(document)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		kind := d.PeekKind()
		var raw jsontext.Value
		var err error
		if kind == jsontext.KindString || kind == jsontext.KindNumber {
			// Not ReadToken: the String method of a token links the formatting of floats, 18 kB.
			raw, err = d.ReadValue()
		} else {
			_, err = d.ReadToken()
		}
		switch {
		case err == io.EOF && documents(d) == 1:
			return found, nil
		case err != nil:
			return nil, errNotJSON
		case d.StackDepth() > maxDepth:
			return nil, errTooDeep
		case kind == jsontext.KindNull || isDelimiter(kind) || isName(d):
			continue
		}
		for i, pointer := range pointers {
			if pointer == "" || strings.Count(pointer, "/") != d.StackDepth() || pointer != string(d.StackPointer()) {
				continue
			}
			text := []byte(raw)
			if kind == jsontext.KindString {
				// Bad UTF-8 and half a surrogate become a character that no token and no time has, and an error that is of no interest.
				text, _ = jsontext.AppendUnquote(nil, raw)
			}
			found[i] = scalar{kind, string(text), found[i].n + 1}
		}
	}
}

// The errors of jsontext quote the document, and the document holds the token.
var (
	errNotJSON = errors.New("not a JSON document")
	errTooDeep = errors.New("nested deeper than " + strconv.Itoa(maxDepth))
)

// withoutMark drops a byte order mark, which JSON has not and some services send.
func withoutMark(document []byte) []byte { return bytes.TrimPrefix(document, []byte("\xef\xbb\xbf")) }

// documents is how many documents the decoder has read or begun.
func documents(d *jsontext.Decoder) int64 {
	_, n := d.StackIndex(0)
	return n
}

func isDelimiter(kind jsontext.Kind) bool {
	return kind == jsontext.KindBeginObject || kind == jsontext.KindEndObject ||
		kind == jsontext.KindBeginArray || kind == jsontext.KindEndArray
}

// isName tells whether the decoder has just read the name of an object's member, not a value.
func isName(d *jsontext.Decoder) bool {
	kind, n := d.StackIndex(d.StackDepth())
	return kind == jsontext.KindBeginObject && n%2 == 1
}
