// Package crd checks objects as a Kubernetes API server does that has Istio's CRDs: schema, unknown fields, list keys and CEL rules.
package crd

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// A test holds the copy against the module's own file.
//
//go:generate go run generate.go istio
//go:embed istio
var files embed.FS

// Problem is one thing that the API server would refuse, or drop.
type Problem struct {
	Field   string // such as spec.match[0].ports; empty for the whole object
	Message string
	Since   string // the first supported minor that would not find it; empty when each does
}

// ErrUnknown says that an object of Istio's groups has a kind or version that Istio does not have.
var ErrUnknown = errors.New("unknown kind or version")

// minors are those that istio/ has, oldest first.
var minors = sync.OnceValue(func() (all []string) {
	entries, err := files.ReadDir("istio")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
})

// at is the place of a minor among those that are known; the last for one that is not.
func at(minor string) int {
	if i := slices.Index(minors(), minor); i >= 0 {
		return i
	}
	return len(minors()) - 1
}

// Check lists what the API server of that Istio minor would find wrong with the object, which is JSON that was decoded into a map;
// of an unknown minor, what the newest would. Objects of other groups have no problems here.
func Check(minor string, object map[string]any) ([]Problem, error) {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	group, version, _ := strings.Cut(apiVersion, "/")
	if !strings.HasSuffix(group, ".istio.io") {
		return nil, nil
	}
	here := at(minor)
	problems, err := check(minors()[here], group, version, kind, object)
	if err == nil && len(problems) == 0 {
		return nil, nil
	}
	for _, newer := range minors()[here+1:] {
		there, newerErr := check(newer, group, version, kind, object)
		if err != nil {
			if newerErr == nil {
				return nil, fmt.Errorf("%w. Istio %s has it", err, newer)
			}
			continue
		}
		for i, p := range problems {
			if newerErr == nil && p.Since == "" && !slices.ContainsFunc(there, func(q Problem) bool { return p.Field == q.Field }) {
				problems[i].Since = newer
			}
		}
	}
	return problems, err
}

func check(minor, group, version, kind string, object map[string]any) ([]Problem, error) {
	v, err := validatorOf(key{minor, group, version, kind})
	if err != nil {
		return nil, err
	}
	return v.check(object), nil
}

// Prepare compiles the schema of a kind, so that the first Check need not: it takes as long as building a small environment.
func Prepare(minor, apiVersion, kind string) {
	group, version, _ := strings.Cut(apiVersion, "/")
	_, _ = validatorOf(key{minors()[at(minor)], group, version, kind}) // Check says what is wrong
}

type validator struct {
	structural *schema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

func (v *validator) check(object map[string]any) []Problem {
	var problems []Problem
	pruned := runtime.DeepCopyJSON(object)
	for _, field := range pruning.PruneWithOptions(pruned, v.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		problems = append(problems, Problem{Field: field, Message: "there is no such field: it would be dropped without a word"})
	}
	errs := validation.ValidateCustomResource(nil, pruned, v.values)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, v.structural, pruned)...)
	if len(errs) == 0 && v.rules != nil { // the rules presume that types are right
		errs, _ = v.rules.Validate(context.Background(), nil, v.structural, pruned, nil, celconfig.RuntimeCELCostBudget)
	}
	for _, e := range errs {
		field := e.Field
		if field == "<nil>" {
			field = ""
		}
		problems = append(problems, Problem{Field: field, Message: e.ErrorBody()})
	}
	return problems
}

type key struct{ minor, group, version, kind string }

var (
	compiled = map[string]*validator{} // by the file, and the version
	mutex    sync.Mutex
)

// validatorOf compiles a schema when it is first used: an environment has few kinds.
func validatorOf(k key) (*validator, error) {
	mutex.Lock()
	defer mutex.Unlock()
	names, err := files.ReadFile("istio/" + k.minor + "/names.txt")
	if err != nil {
		return nil, err
	}
	var kinds []string
	for name := range strings.FieldsSeq(string(names)) {
		if !strings.HasSuffix(name, "."+k.group) {
			continue
		}
		file, data, err := read(k.minor, name)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(data, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, served := range crd.Spec.Versions {
			if crd.Spec.Names.Kind != k.kind || served.Name != k.version {
				kinds = append(kinds, crd.Spec.Names.Kind+"/"+served.Name)
				continue
			}
			id := file + " " + k.version
			if compiled[id] == nil {
				if compiled[id], err = newValidator(served.Schema); err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
			}
			return compiled[id], nil
		}
	}
	return nil, fmt.Errorf("%w %s/%s in %s. Istio %s has %s", ErrUnknown, k.kind, k.version, k.group, k.minor, strings.Join(kinds, ", "))
}

// read is the CRD of a minor: its own, or that of the next newer minor that has another than the one after it.
func read(minor, name string) (file string, data []byte, err error) {
	for _, m := range minors()[at(minor):] {
		file = "istio/" + m + "/" + name + ".json"
		if data, err = files.ReadFile(file); err == nil {
			break
		}
	}
	return file, data, err
}

func newValidator(v *apiextensionsv1.CustomResourceValidation) (*validator, error) {
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v, &internal, nil); err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	values, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &validator{structural, values, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}
