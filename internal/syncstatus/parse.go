package syncstatus

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// discovered are the filters in the active listeners that are discovered, by resource.
func discovered(dump []byte) (map[string]bool, error) {
	var answer struct {
		Configs []struct {
			ActiveState any `json:"active_state"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(dump, &answer); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, l := range answer.Configs {
		walk(l.ActiveState, func(object map[string]any) {
			name, named := object["name"].(string)
			if _, is := object["config_discovery"]; is && named {
				names[name] = true
			}
		})
	}
	return names, nil
}

// walk visits every object.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, inner := range v {
			walk(inner, visit)
		}
	case []any:
		for _, inner := range v {
			walk(inner, visit)
		}
	}
}

// extension is what Envoy last received for a filter, accepted or not.
type extension struct {
	updated  time.Time
	digest   string
	fallback State // what the agent has put in place of the filter
}

func extensions(dump []byte) (map[string]extension, error) {
	var answer struct {
		Configs []struct {
			Updated time.Time `json:"last_updated"`
			Filter  struct {
				Name   string `json:"name"`
				Config struct {
					Type   string `json:"@type"`
					Prefix string `json:"rules_stat_prefix"`
					Config struct {
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
		} `json:"configs"`
	}
	if err := json.Unmarshal(dump, &answer); err != nil {
		return nil, err
	}
	all := map[string]extension{}
	for _, c := range answer.Configs {
		e := extension{updated: c.Updated}
		config := c.Filter.Config
		switch {
		case strings.HasSuffix(config.Type, ".wasm.v3.Wasm"):
			// The agent names the file by the digest of the image.
			if digest, ok := strings.CutSuffix(path.Base(config.Config.VM.Code.Local.File), ".wasm"); ok {
				e.digest = "sha256:" + digest
			}
		case strings.HasSuffix(config.Type, ".rbac.v3.RBAC") && config.Prefix == "wasm-default-allow":
			e.fallback = Passing
		case strings.HasSuffix(config.Type, ".rbac.v3.RBAC"):
			e.fallback = Denying
		default:
			return nil, fmt.Errorf("%s is of type %q. want a Wasm filter, or the agent's fallback", c.Filter.Name, config.Type)
		}
		all[c.Filter.Name] = e
	}
	return all, nil
}

// uptime is how long this Envoy runs, in whole seconds.
func uptime(info []byte) (time.Duration, error) {
	var answer struct {
		Uptime string `json:"uptime_current_epoch"`
	}
	if err := json.Unmarshal(info, &answer); err != nil {
		return 0, err
	}
	return time.ParseDuration(answer.Uptime)
}

// stats are Envoy's counters and gauges.
func stats(text []byte) map[string]int {
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil {
			all[name] = n
		}
	}
	return all
}

// fetchFailures are the results of the agent's fetches, but for the good ones.
func fetchFailures(metrics []byte) string {
	var failures []string
	for line := range strings.Lines(string(metrics)) {
		result, ok := strings.CutPrefix(line, `istio_agent_wasm_remote_fetch_count{result="`)
		if !ok {
			continue
		}
		result, count, _ := strings.Cut(strings.TrimSpace(result), `"} `)
		if result != "success" {
			failures = append(failures, result+" "+count)
		}
	}
	if len(failures) == 0 {
		return "the agent has not tried to fetch the image: it had no credentials, or the url is none"
	}
	slices.Sort(failures)
	return "the agent could not fetch the image; its failures so far: " + strings.Join(failures, ", ")
}

// rejection is why the proxy has refused istiod's last extensions, if it has. Another push makes istiod forget it.
func rejection(syncz []byte, proxy string) (string, error) {
	var answer []struct {
		Proxy     string `json:"proxy"`
		Resources map[string]struct {
			LastError string `json:"lastError"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(syncz, &answer); err != nil {
		return "", err
	}
	for _, p := range answer {
		if p.Proxy == proxy {
			return p.Resources["type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"].LastError, nil
		}
	}
	return "", fmt.Errorf("it does not know the proxy")
}
