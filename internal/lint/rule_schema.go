package lint

import (
	"errors"
	"fmt"
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
		checkSchema(r.Env.Istio, r.Objects, true, found)
		if r.Env.API != plugin.APIs[0].Kind {
			// What render made of them. A problem here that was none above is render's own.
			checkSchema(r.Env.Istio, r.Rendered, false, found)
		}
	},
}

// maxObjectBytes is what etcd stores at most in one request, less than its 1.5 MiB for what the API server adds.
const maxObjectBytes = 1 << 20

func checkSchema(minor string, objects []manifests.Object, asWritten bool, found report) {
	problemsOf, errs := make([][]crd.Problem, len(objects)), make([]error, len(objects))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, o := range objects {
		group.Go(func() error {
			problemsOf[i], errs[i] = problemsIn(minor, o)
			return nil
		})
	}
	_ = group.Wait()
	for i, o := range objects {
		problems, err := problemsOf[i], errs[i]
		if len(o.YAML) > maxObjectBytes {
			found(atObject(o), "%d bytes: the API server takes no object over 1 MiB or so. make it smaller", len(o.YAML))
		}
		switch {
		case errors.Is(err, crd.ErrUnknown) && !asWritten: // the istio-version rule says so
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
			message := p.Message
			if p.Field != "" {
				message = p.Field + ": " + message
			}
			if p.Since != "" {
				message += fmt.Sprintf(" (the environment runs Istio %s; %s has it)", minor, p.Since)
			}
			found(at, "%s", message)
		}
	}
}

func problemsIn(minor string, o manifests.Object) ([]crd.Problem, error) {
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var decoded map[string]any
	if err := utiljson.Unmarshal(data, &decoded); err != nil {
		return nil, err
	}
	return crd.Check(minor, decoded)
}

// segments are the names and indices in a field path such as spec.match[0].ports.
var segments = regexp.MustCompile(`[^.\[\]]+`)
