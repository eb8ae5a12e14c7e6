package proxystatus

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// received is what a proxy has last got for an object, accepted or not.
type received struct {
	digest        string
	configuration uint64
	fallback      State // what the agent has put in place of the filter
	other         bool  // no Wasm filter of one image: a canary's split, say
}

// ecds is one filter in Envoy's answer.
type ecds struct {
	Updated time.Time `json:"last_updated"`
	Filter  struct {
		Name   string `json:"name"`
		Config struct {
			Type   string `json:"@type"`
			Prefix string `json:"rules_stat_prefix"`
			Config struct {
				Configuration struct {
					Value json.RawMessage `json:"value"`
				} `json:"configuration"`
				VM struct {
					Code struct {
						Local struct {
							File string `json:"filename"`
						} `json:"local"`
					} `json:"code"`
				} `json:"vm_config"`
			} `json:"config"`
		} `json:"typed_config"`
	} `json:"ecds_filter"`
}

// receivedOf reads Envoy's /config_dump?resource=ecds_filters, by object.
func receivedOf(dump []byte) (map[string]received, error) {
	var answer struct {
		Configs []ecds `json:"configs"`
	}
	if err := json.Unmarshal(dump, &answer); err != nil {
		return nil, err
	}
	all := map[string]received{}
	// A listener that drains keeps what it had, for an object that was of another API before: the last one is in service.
	slices.SortStableFunc(answer.Configs, func(a, b ecds) int { return a.Updated.Compare(b.Updated) })
	for _, c := range answer.Configs {
		var r received
		config := c.Filter.Config
		switch {
		case strings.HasSuffix(config.Type, ".wasm.v3.Wasm"):
			// The agent names the file by the digest of the image.
			if digest, ok := strings.CutSuffix(path.Base(config.Config.VM.Code.Local.File), ".wasm"); ok {
				r.digest = "sha256:" + digest
			}
			var text string
			if err := json.Unmarshal(config.Config.Configuration.Value, &text); err == nil || len(config.Config.Configuration.Value) == 0 {
				r.configuration = plugin.Fingerprint([]byte(text))
			}
		case strings.HasSuffix(config.Type, ".rbac.v3.RBAC") && config.Prefix == "wasm-default-allow":
			r.fallback = Passing
		case strings.HasSuffix(config.Type, ".rbac.v3.RBAC"):
			r.fallback = Denying
		default:
			r.other = true
		}
		all[objectOf(c.Filter.Name)] = r
	}
	return all, nil
}

// objectOf is the namespace/name of the object that istiod made the resource of. The prefix and the suffix differ by version; a resource
// of an EnvoyFilter has neither.
func objectOf(resource string) string {
	name, _, _ := strings.Cut(resource[strings.LastIndex(resource, "/")+1:], "~")
	return strings.Replace(name, ".", "/", 1)
}
