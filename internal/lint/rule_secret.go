package lint

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"google.golang.org/protobuf/types/known/structpb"
)

var ruleSecret = Rule{
	"secret",
	"no secret stands in pluginConfig or vmConfig.env: it would be in git, in the cluster for all to read, and in Envoy's config_dump",
	"pluginConfig: {clientSecret: …}",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			walkStrings(structpb.NewStructValue(p.Spec.PluginConfig), []string{"pluginConfig"}, func(field []string, value string) {
				if why := secretLike(field[len(field)-1], value); why != "" {
					found(at(p, field...), "%s %s. let the filter fetch what it needs from a service, over mTLS", strings.Join(field, "."), why)
				}
			})
			for i, e := range p.Spec.VmConfig.GetEnv() {
				if why := secretLike(e.Name, e.Value); why != "" {
					found(at(p, "vmConfig", "env", strconv.Itoa(i), "value"), "vmConfig.env %s %s. use valueFrom: HOST, or a service", e.Name, why)
				}
			}
		}
	},
}

var (
	// secretValues are formats that are secrets wherever they stand.
	secretValues = []struct {
		why    string
		format *regexp.Regexp
	}{
		{"holds a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY`)},
		{"holds a JSON Web Token", regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*`)},
		{"holds an AWS access key", regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
		{"holds a token of GitHub", regexp.MustCompile(`\b(gh[pousr]_\w{30,}|github_pat_\w{30,})`)},
		{"holds a token of Slack", regexp.MustCompile(`\bxox[abprs]-[\w-]{10,}`)},
		{"holds credentials in a URL", regexp.MustCompile(`://[^/\s:@]+:[^/\s:@]+@`)},
		{"holds a value of Authorization", regexp.MustCompile(`(?i)^(bearer|basic) [\w+/=.~-]{8,}$`)},
	}
	secretNames = regexp.MustCompile(`(?i)(passw(or)?d|passphrase|secret|api_?key|access_?key|private_?key|credentials?)$`)
	// tokenNames hold a secret only when the value looks random: `token` also names settings of tokens.
	tokenNames  = regexp.MustCompile(`(?i)token$`)
	looksRandom = regexp.MustCompile(`^[\w+/=.~-]{20,}$`)
)

// secretLike says why a value looks like a secret, without the value.
func secretLike(name, value string) string {
	for _, s := range secretValues {
		if s.format.MatchString(value) {
			return s.why
		}
	}
	name = strings.ReplaceAll(name, "-", "_")
	switch {
	case value == "" || strings.HasPrefix(value, "/"): // a JSON pointer or a file
		return ""
	case secretNames.MatchString(name), tokenNames.MatchString(name) && looksRandom.MatchString(value):
		return "looks like a secret by its name"
	}
	return ""
}

func walkStrings(v *structpb.Value, field []string, visit func(field []string, value string)) {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		visit(field, kind.StringValue)
	case *structpb.Value_StructValue:
		fields := kind.StructValue.GetFields()
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			walkStrings(fields[name], append(field[:len(field):len(field)], name), visit)
		}
	case *structpb.Value_ListValue:
		for i, child := range kind.ListValue.GetValues() {
			walkStrings(child, append(field[:len(field):len(field)], strconv.Itoa(i)), visit)
		}
	}
}
