package pluginconfig

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A Read reads one value and puts it where it belongs.
type Read func(*Decoder) error

// A Field is one row of an object's table.
type Field struct {
	name     string
	required bool
	read     Read
}

// Required is a field that must be there.
func Required(name string, read Read) Field { return Field{name, true, read} }

// Optional is a field that may be left out; its variable then keeps what it held.
func Optional(name string, read Read) Field { return Field{name, false, read} }

// Object reads an object with exactly these fields.
func Object(fields ...Field) Read {
	return func(d *Decoder) error {
		seen := make([]bool, len(fields))
		err := d.members(func(name string) error {
			for i, f := range fields {
				if f.name == name {
					seen[i] = true
					return f.read(d)
				}
			}
			return d.refuse("unknown field. " + known(fields))
		})
		if err != nil {
			return err
		}
		for i, f := range fields {
			if f.required && !seen[i] {
				return Error(string(d.json.StackPointer())+"/"+f.name, "missing")
			}
		}
		return nil
	}
}

// Map reads an object whose names the user chooses, in their order. Two names that become the same are refused.
func Map(to *[][2]string, name, value func(string) (string, error)) Read {
	return func(d *Decoder) error {
		return d.members(func(raw string) error {
			n, err := name(raw)
			if err != nil {
				return d.refuse(err.Error())
			}
			for _, entry := range *to {
				if entry[0] == n {
					return d.refuse("duplicate name")
				}
			}
			var v string
			if err := Text(&v, value)(d); err != nil {
				return err
			}
			*to = append(*to, [2]string{n, v})
			return nil
		})
	}
}

// members reads an object and calls member with each name; member reads the value.
func (d *Decoder) members(member func(name string) error) error {
	if _, err := d.want(jsontext.KindBeginObject); err != nil {
		return err
	}
	for {
		// jsontext has checked that a name is a string.
		kind, name, err := d.next()
		if err != nil || kind == jsontext.KindEndObject {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
}

func known(fields []Field) string {
	if len(fields) == 1 {
		return `the only known field is "` + fields[0].name + `"`
	}
	var b strings.Builder
	b.WriteString("known fields are ")
	for i, f := range fields {
		switch i {
		case 0:
		case len(fields) - 1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(`"` + f.name + `"`)
	}
	return b.String()
}
