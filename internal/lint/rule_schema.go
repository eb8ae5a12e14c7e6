package lint

import (
	"errors"
	"regexp"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/wasmfleet/wasmfleet/internal/crd"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

var ruleSchema = Rule{
	"schema",
	"every object of Istio's passes the schema and the CEL rules of its CRD, and has no unknown field: the API server would refuse or drop it",
	"phase: LATE, or selecter instead of selector",
	func(r *manifests.Result, found report) {
		checkSchema(r.Objects, true, found)
		if r.Env.API != plugin.APIs[0].Kind {
			// What render made of them. A problem here that was none above is render's own.
			checkSchema(r.Rendered, false, found)
		}
	},
}

func checkSchema(objects []manifests.Object, asWritten bool, found report) {
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
			found(atObject(o, "apiVersion"), "%v", err)
		case err != nil:
			found(atObject(o), "%v", err)
		}
		for _, p := range problems {
			if url, _ := o.GetString(p.Field); strings.HasSuffix(p.Field, ".url") && url != "" && !strings.HasPrefix(url, "oci://") {
				continue // the digest rule and the url rule say what to do
			}
			at := atObject(o)
			if asWritten {
				at = atObject(o, segments.FindAllString(p.Field, -1)...)
			}
			if p.Field == "" {
				found(at, "%s", p.Message)
			} else {
				found(at, "%s: %s", p.Field, p.Message)
			}
		}
	}
}

func problemsIn(o manifests.Object) ([]crd.Problem, error) {
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	if err := utiljson.Unmarshal(data, &decoded); err != nil {
		return nil, err
	}
	return crd.Check(decoded)
}

// segments are the names and indices in a field path such as spec.match[0].ports.
var segments = regexp.MustCompile(`[^.\[\]]+`)
