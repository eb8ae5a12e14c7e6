// Package example runs the examples of a filter, which are data: filters/<filter>/examples/*.yaml holds a plugin configuration,
// services that the filter calls, requests, and what the upstream and the client must see of them in a real Envoy.
// docs/examples.md is the reference.
package example

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Example is one file.
type Example struct {
	File        string             `yaml:"-"`
	Description string             `yaml:"description"` // required: one line that says what is shown
	Config      map[string]any     `yaml:"config"`      // spec.pluginConfig; none when absent
	Workers     int                `yaml:"workers"`     // of Envoy, 2 when absent
	Services    map[string]Service `yaml:"services"`    // by host:port: what the filter calls
	Requests    []Request          `yaml:"requests"`    // sent in this order, one at a time

	document *yaml.Node // for the lines of errors
}

// Service is something that the filter calls.
type Service struct {
	Answers []Answer `yaml:"answers"` // in turn; the last one is repeated
	Sees    *Want    `yaml:"sees"`    // what each call must be
	Calls   *int     `yaml:"calls"`   // how many there must have been in the end
}

// Answer is what a service or the upstream answers.
type Answer struct {
	Status  int               `yaml:"status"` // 200 when absent
	Headers map[string]Values `yaml:"headers"`
	Body    string            `yaml:"body"`
	Delay   time.Duration     `yaml:"delay"` // before it answers
	Fault   string            `yaml:"fault"` // one of Faults: instead of the answer
}

// The faults of a service.
const (
	Down    = "down"    // nobody listens
	Reset   = "reset"   // the connection is reset before the answer
	Silence = "silence" // there is no answer until the caller gives up
	Cut     = "cut"     // the connection ends in the middle of the body
)

// Faults are what a service may do instead of answering.
var Faults = []string{Down, Reset, Silence, Cut}

// Request is sent, and what becomes of it is compared.
type Request struct {
	Description string            `yaml:"description"`
	Method      string            `yaml:"method"` // GET when absent
	Path        string            `yaml:"path"`   // / when absent
	Headers     map[string]Values `yaml:"headers"`
	Body        string            `yaml:"body"`
	Answer      Answer            `yaml:"answer"`   // of the upstream
	Within      time.Duration     `yaml:"within"`   // it is repeated for so long until all is as wanted; when absent, the first time counts
	Times       int               `yaml:"times"`    // how often all must be as wanted, 1 when absent
	Upstream    *Want             `yaml:"upstream"` // what the upstream must see
	Client      *Want             `yaml:"client"`   // what the client must see
}

// Want is what a message must be, as far as it says. A text between slashes, such as /^Bearer /, is a regular expression.
type Want struct {
	Reached *bool             `yaml:"reached"` // of the upstream: false says that it must not see the request
	Status  int               `yaml:"status"`  // of the client
	Method  string            `yaml:"method"`  // of the upstream or a service
	Path    string            `yaml:"path"`    // of the upstream or a service
	Headers map[string]Values `yaml:"headers"` // null: must not be there
	Body    *string           `yaml:"body"`
}

// Values are those of one header: a text, a list of texts, or null for none.
type Values []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (v *Values) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*v = Values{node.Value}
		return nil
	}
	return node.Decode((*[]string)(v))
}

// Load reads the examples of the filter in this folder, sorted by name of file.
func Load(filter string) ([]*Example, error) {
	files, err := filepath.Glob(filepath.Join(filter, "examples", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var all []*Example
	var errs []error
	for _, file := range files {
		e, err := Read(file)
		errs = append(errs, err)
		all = append(all, e)
	}
	return all, errors.Join(errs...)
}

// Read reads one example. Unknown keys are errors.
func Read(file string) (*Example, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	e := &Example{File: file, document: &yaml.Node{}}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(e); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:1: the file is empty", file)
	} else if err != nil {
		return nil, positioned(file, err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:1: more than one document. an example is a file of its own", file)
	}
	if err := yaml.Unmarshal(data, e.document); err != nil {
		return nil, positioned(file, err)
	}
	return e, e.check()
}

var (
	yamlError    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	wrongType    = regexp.MustCompile(`^cannot unmarshal (?:!!\w+ )?(.*) into (\S+)$`)
	unknownField = regexp.MustCompile(`^field (\S+) not found in type example\.(\w+)$`)
)

// positioned gives the errors of the YAML decoder the form file:line: message.
func positioned(file string, err error) error {
	messages := []string{err.Error()}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		messages = types.Errors
	}
	var errs []error
	for _, message := range messages {
		line, text := "1", strings.TrimPrefix(message, "yaml: ")
		if m := yamlError.FindStringSubmatch(message); m != nil {
			line, text = m[1], m[2]
		}
		if m := unknownField.FindStringSubmatch(text); m != nil {
			text = fmt.Sprintf("unknown key %q. docs/examples.md lists those of %s", m[1], strings.ToLower(m[2]))
		}
		if m := wrongType.FindStringSubmatch(text); m != nil {
			text = fmt.Sprintf("%s: want %s", m[1], inWords(m[2]))
		}
		errs = append(errs, fmt.Errorf("%s:%s: %s", file, line, text))
	}
	return errors.Join(errs...)
}

// inWords is a Go type for somebody who writes YAML.
func inWords(goType string) string {
	switch {
	case goType == "int":
		return "a number"
	case goType == "bool":
		return "true or false"
	case goType == "string":
		return "a text"
	case goType == "time.Duration":
		return "a duration, such as 5s"
	case strings.HasPrefix(goType, "["):
		return "a list"
	default:
		return "an object"
	}
}
