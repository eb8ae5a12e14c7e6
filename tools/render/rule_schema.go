package main

import (
	"encoding/json"
	"errors"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/wasmfleet/wasmfleet/internal/crd"
	"github.com/wasmfleet/wasmfleet/internal/environment"
)

var ruleSchema = rule{
	"schema",
	"every object of Istio's passes the schema and the CEL rules of its CRD, and has no unknown field: the API server would refuse or drop it",
	"phase: LATE, or selecter instead of selector",
	func(t *tree, found report) {
		checkSchema(t.objects, true, found)
		if t.env.API != environment.WasmPlugin {
			// What render made of them. A problem here that was none above is render's own.
			checkSchema(t.rendered, false, found)
		}
	},
}

func checkSchema(objects []object, asWritten bool, found report) {
	problemsOf, errs := make([][]crd.Problem, len(objects)), make([]error, len(objects))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, o := range objects {
		group.Go(func() error {
			problemsOf[i], errs[i] = problemsIn(o)
			return nil
		})
	}
	_ = group.Wait()
	for i, o := range objects {
		problems, err := problemsOf[i], errs[i]
		switch {
		case errors.Is(err, crd.ErrUnknown):
			found(o.at("apiVersion"), "%v", err)
		case err != nil:
			found(o.at(), "%v", err)
		}
		for _, p := range problems {
			if url, _ := o.GetString(p.Field); strings.HasSuffix(p.Field, ".url") && url != "" && !strings.HasPrefix(url, "oci://") {
				continue // the digest rule and the url rule say what to do
			}
			at := o.at()
			if asWritten {
				at = o.at(segments.FindAllString(p.Field, -1)...)
			}
			if p.Field == "" {
				found(at, "%s", p.Message)
			} else {
				found(at, "%s: %s", p.Field, p.Message)
			}
		}
	}
}

func problemsIn(o object) ([]crd.Problem, error) {
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	if err := json.Unmarshal(data, &decoded); err != nil {
		return nil, err
	}
	return crd.Check(integers(decoded).(map[string]any))
}

// segments are the names and indices in a field path such as spec.match[0].ports.
var segments = regexp.MustCompile(`[^.\[\]]+`)

// integers makes whole numbers integers, as the API server's decoder does.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			v[k] = integers(child)
		}
	case []any:
		for i, child := range v {
			v[i] = integers(child)
		}
	case float64:
		if i := int64(v); float64(i) == v {
			return i
		}
	}
	return v
}
