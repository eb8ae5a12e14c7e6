// Package workflows runs what the workflows of .github and the jobs of .gitlab-ci.yml run, as written, against a bare repository and a registry on this machine.
package workflows

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// workflow is a file of .github/workflows, as far as the tests look at it.
type workflow struct {
	Name        string            `yaml:"name"`
	On          yaml.Node         `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency struct {
		Group  string `yaml:"group"`
		Cancel bool   `yaml:"cancel-in-progress"`
	} `yaml:"concurrency"`
	Defaults struct {
		Run struct {
			Shell string `yaml:"shell"`
		} `yaml:"run"`
	} `yaml:"defaults"`
	Jobs map[string]job `yaml:"jobs"`
}

type job struct {
	Name        string            `yaml:"name"`
	Needs       string            `yaml:"needs"`
	Strategy    yaml.Node         `yaml:"strategy"`
	Outputs     map[string]string `yaml:"outputs"`
	If          string            `yaml:"if"`
	Environment string            `yaml:"environment"`
	RunsOn      string            `yaml:"runs-on"`
	Timeout     int               `yaml:"timeout-minutes"`
	Permissions map[string]string `yaml:"permissions"`
	Steps       []step            `yaml:"steps"`
}

type step struct {
	Name string            `yaml:"name"`
	ID   string            `yaml:"id"`
	If   string            `yaml:"if"`
	Uses string            `yaml:"uses"`
	With map[string]string `yaml:"with"`
	Env  map[string]string `yaml:"env"`
	Run  string            `yaml:"run"`
}

// load reads the workflows by file name. A key that is not known above is an error: the tests would not see what it does.
func load(root string) (map[string]workflow, error) {
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*"))
	if err != nil {
		return nil, err
	}
	all := map[string]workflow{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var w workflow
		dec := yaml.NewDecoder(bytes.NewReader(data))
		dec.KnownFields(true)
		if err := dec.Decode(&w); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all[filepath.Base(file)] = w
	}
	return all, nil
}

// holds evaluates the condition of a step or a job. The workflows have one form of it that the tests run: a value that must not be empty.
func holds(condition string, values map[string]string) (bool, error) {
	if condition == "" {
		return true, nil
	}
	name, ok := strings.CutSuffix(condition, " != ''")
	value, known := values[name]
	if !ok || !known {
		return false, fmt.Errorf("no value for %s", condition)
	}
	return value != "", nil
}

var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

// evaluate puts values in the place of expressions, and refuses an expression that has none.
func evaluate(text string, values map[string]string) (string, error) {
	var err error
	out := expression.ReplaceAllStringFunc(text, func(match string) string {
		value, ok := values[expression.FindStringSubmatch(match)[1]]
		if !ok {
			err = fmt.Errorf("no value for %s", match)
		}
		return value
	})
	return out, err
}
