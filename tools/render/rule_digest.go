package main

import (
	"fmt"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
)

// ruleDigest wants every module named by digest: a tag can be moved, and Istio's agent never looks at it again.
var ruleDigest = rule{"digest", func(env environment.Environment, o object) []string {
	if o.GetKind() != "WasmPlugin" {
		return nil
	}
	url, err := o.GetString("spec.url")
	if err != nil {
		return []string{`spec.url is missing. write "url: filter://<filter>" in the base`}
	}
	if filter, ok := strings.CutPrefix(url, environment.Scheme); ok {
		how := fmt.Sprintf("make promote FILTER=%s TO=%s", filter, env.Name)
		if env.Upstream == environment.None {
			how = fmt.Sprintf(`make publish FILTER=%s", then "make promote TO=%s`, filter, env.Name)
		}
		return []string{fmt.Sprintf(`url %q is not pinned. run "%s"`, url, how)}
	}
	ref, ok := strings.CutPrefix(url, "oci://")
	if !ok {
		return []string{fmt.Sprintf(`url %q: want an oci:// reference with a digest. write "url: filter://<filter>" in the base and promote a pin`, url)}
	}
	if _, err := filterimage.ParseRef(ref); err != nil {
		return []string{err.Error() + ". promote a pin"}
	}
	return nil
}}
