package adopt

import (
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/scaffold"
)

// described is what the filter is said to be: what its sources say.
func (o options) described(s *source) scaffold.Filter {
	return scaffold.Filter{Name: o.name, Title: title(s, o.name), Description: sentence(s, o.name), Licenses: o.licenses}
}

// sentence is the first of the package's documentation.
func sentence(s *source, name string) string {
	text := strings.Join(strings.Fields(s.doc), " ")
	if first, _, ok := strings.Cut(text, ". "); ok {
		text = first + "."
	}
	if text == "" {
		return "The filter " + name + "."
	}
	return text
}

func title(s *source, name string) string {
	if s.module == "" {
		return name
	}
	return name + ", from " + s.module
}
