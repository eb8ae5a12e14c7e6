package pluginconfig

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Texts reads an array of one to most strings, each of which check may change. The same string twice is refused.
func Texts(to *[]string, most int, check func(string) (string, error)) Read {
	return func(d *Decoder) error {
		if _, err := d.want(jsontext.KindBeginArray); err != nil {
			return err
		}
		*to = nil
		for {
			kind, text, err := d.next()
			if err != nil {
				return err
			}
			if kind == jsontext.KindEndArray {
				if len(*to) == 0 {
					return d.refuse("want at least one")
				}
				return nil
			}
			if kind != jsontext.KindString {
				return d.refuse("want a string, got " + describe(kind))
			}
			if text, err = check(text); err != nil {
				return d.refuse(err.Error())
			}
			for _, other := range *to {
				if other == text {
					return d.refuse(`"` + text + `" is there twice`)
				}
			}
			if len(*to) == most {
				return d.refuse("want at most " + strconv.Itoa(most))
			}
			*to = append(*to, text)
		}
	}
}
