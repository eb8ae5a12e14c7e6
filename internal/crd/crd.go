// Package crd checks objects as a Kubernetes API server does that has Istio's CRDs: schema, unknown fields, list keys and CEL rules.
package crd

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
//go:embed istio/*.json
var files embed.FS

// Problem is one thing that the API server would refuse, or drop.
type Problem struct {
	Field   string // such as spec.match[0].ports; empty for the whole object
	Message string
}

// ErrUnknown says that an object of Istio's groups has a kind or version that Istio does not have.
var ErrUnknown = errors.New("unknown kind or version")

// Check lists what is wrong with the object, which is JSON that was decoded into a map. Objects of other groups have no problems
// here.
func Check(object map[string]any) ([]Problem, error) {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	group, version, _ := strings.Cut(apiVersion, "/")
	if !strings.HasSuffix(group, ".istio.io") {
		return nil, nil
	}
	v, err := validatorOf(group, version, kind)
	if err != nil {
		return nil, err
	}
	return v.check(object), nil
}

// Prepare compiles the schema of a kind, so that the first Check need not: it takes as long as building a small environment.
func Prepare(apiVersion, kind string) {
	group, version, _ := strings.Cut(apiVersion, "/")
	_, _ = validatorOf(group, version, kind) // Check says what is wrong
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
		problems = append(problems, Problem{field, "there is no such field: it would be dropped without a word"})
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
		problems = append(problems, Problem{field, e.ErrorBody()})
	}
	return problems
}

type key struct{ group, version, kind string }

var (
	compiled = map[key]*validator{}
	mutex    sync.Mutex
)

// validatorOf compiles a schema when it is first used: an environment has few kinds.
func validatorOf(group, version, kind string) (*validator, error) {
	mutex.Lock()
	defer mutex.Unlock()
	k := key{group, version, kind}
	if v := compiled[k]; v != nil {
		return v, nil
	}
	matches, err := fs.Glob(files, "istio/*."+group+".json")
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, file := range matches {
		data, err := files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := json.Unmarshal(data, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, served := range crd.Spec.Versions {
			if crd.Spec.Names.Kind == kind && served.Name == version {
				if compiled[k], err = newValidator(served.Schema); err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				return compiled[k], nil
			}
			kinds = append(kinds, crd.Spec.Names.Kind+"/"+served.Name)
		}
	}
	return nil, fmt.Errorf("%w %s/%s in %s. Istio has %s", ErrUnknown, kind, version, group, strings.Join(kinds, ", "))
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
