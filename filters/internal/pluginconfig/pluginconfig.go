// Package pluginconfig reads a filter's configuration: once, strictly, inside the guest.
//
// A filter describes its configuration as a table of fields; what the table does not allow is refused with the JSON
// pointer of the culprit, as in
//
//	/nmae: unknown field. known fields are "name" and "value"
//
// It tokenizes with jsontext, which refuses duplicate names and bad UTF-8. fmt, reflect and encoding/json stay out: each
// costs a module 60 to 250 kB.
package pluginconfig

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Load returns the plugin's configuration as the host has it. It may be called in OnPluginStart only.
//
// An absent configuration is nil without an error. This is the only place that knows how a host says so: Envoy has "not
// found" or no bytes, and Istio sends the same for a pluginConfig that is missing and for one that is {}.
func Load() ([]byte, error) {
	data, err := proxywasm.GetPluginConfiguration()
	if err == types.ErrorStatusNotFound {
		return nil, nil
	}
	return data, err
}

// Parse reads data, which must be one JSON object, by the table of its fields. The example is what the message for an absent
// configuration recommends.
func Parse(data []byte, example string, fields ...Field) error {
	if len(data) == 0 {
		return errors.New("want a configuration such as " + example)
	}
	d := &Decoder{jsontext.NewDecoder(bytes.NewBuffer(data))}
	if err := Object(fields...)(d); err != nil {
		return err
	}
	if _, err := d.json.ReadToken(); err != io.EOF {
		return errors.New("unexpected bytes after the configuration, from byte " + strconv.Itoa(int(d.json.InputOffset())))
	}
	return nil
}

// Error is the error for the value at a JSON pointer. It is for what a filter checks across fields, after Parse.
func Error(pointer, message string) error {
	if pointer == "" {
		return errors.New(message)
	}
	return errors.New(pointer + ": " + message)
}

// A Decoder stands before one value of the configuration.
type Decoder struct{ json *jsontext.Decoder }

// refuse is the error for the value that was read last.
func (d *Decoder) refuse(message string) error { return Error(string(d.json.StackPointer()), message) }

// next reads one value or delimiter. It never reads more than that, so an object or array where none is wanted costs nothing,
// however deep it is.
func (d *Decoder) next() (kind jsontext.Kind, text string, err error) {
	switch kind = d.json.PeekKind(); kind {
	case jsontext.KindString, jsontext.KindNumber:
		// Not ReadToken: the String method of a token links the formatting of floats, 18 kB.
		raw, err := d.json.ReadValue()
		if err != nil {
			return kind, "", syntax(err)
		}
		if kind == jsontext.KindString {
			raw, err = jsontext.AppendUnquote(nil, raw)
		}
		return kind, string(raw), err
	default:
		_, err := d.json.ReadToken()
		return kind, "", syntax(err)
	}
}

// want reads what must be of the given kind.
func (d *Decoder) want(kind jsontext.Kind) (string, error) {
	got, text, err := d.next()
	if err != nil {
		return "", err
	}
	if got != kind {
		return "", d.refuse("want " + article(kind) + describe(kind) + ", got " + describe(got))
	}
	return text, nil
}

// syntax rewords an error of jsontext, whose own text comes last and without a pointer at the start.
func syntax(err error) error {
	s, ok := err.(*jsontext.SyntacticError) // errors.As would cost 10 kB
	switch {
	case err == nil:
		return nil
	case err == io.EOF:
		return errors.New("unexpected end of the configuration")
	case !ok:
		return err
	case s.Err == jsontext.ErrDuplicateName:
		return Error(string(s.JSONPointer), "duplicate name")
	}
	message := "invalid JSON"
	if s.Err != nil {
		message = s.Err.Error()
	}
	return Error(string(s.JSONPointer), message+", at byte "+strconv.FormatInt(s.ByteOffset, 10))
}

func describe(kind jsontext.Kind) string {
	switch kind {
	case jsontext.KindBeginObject:
		return "object"
	case jsontext.KindBeginArray:
		return "array"
	case jsontext.KindString:
		return "string"
	case jsontext.KindNumber:
		return "number"
	case jsontext.KindNull:
		return "null"
	default:
		return "boolean"
	}
}

func article(kind jsontext.Kind) string {
	if kind == jsontext.KindBeginObject || kind == jsontext.KindBeginArray {
		return "an "
	}
	return "a "
}
