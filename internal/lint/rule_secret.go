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
				if why := secretLike(field, value); why != "" {
					found(at(p, field...), "%s %s. let the filter fetch what it needs from a service, over mTLS, or read it from the environment of the proxy", strings.Join(field, "."), why)
				}
			})
			for i, e := range p.Spec.VmConfig.GetEnv() {
				if why := secretLike([]string{e.Name}, e.Value); why != "" {
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
		{"holds credentials in a URL", regexp.MustCompile(`://[^/\s:@]*:[^/\s:@${]+@`)},
		{"holds a value of Authorization", regexp.MustCompile(`(?i)^(bearer|basic) [\w+/=.~-]{8,}$`)},
		{"holds an API key of Google", regexp.MustCompile(`\bAIza[\w-]{35}`)},
		{"holds a token of GitLab", regexp.MustCompile(`\bgl(pat|dt|rt|ptt|cbt|soat)-[\w-]{20,}`)},
		{"holds a key of Stripe", regexp.MustCompile(`\b[sr]k_(live|test)_\w{10,}`)},
		{"holds a token of npm", regexp.MustCompile(`\bnpm_\w{36}`)},
		{"holds a key of Azure", regexp.MustCompile(`(?i)\b(AccountKey|SharedAccessKey)=[\w+/=]{16,}`)},
		{"holds a token of Vault", regexp.MustCompile(`\bhv[sbr]\.[\w-]{20,}`)},
		{"holds a key of SendGrid", regexp.MustCompile(`\bSG\.[\w-]{16,}\.[\w-]{16,}`)},
		{"holds a symmetric key of JSON Web Keys", regexp.MustCompile(`"kty"\s*:\s*"oct"`)},
		{"holds a secret of a form or query", regexp.MustCompile(`(?i)(^|[?&\s])(client_secret|client_assertion|secret_id|password|passwd|api_?key|access_?key|refresh_token|secret)=[^&\s${]+`)},
	}
	// secretNames are of secrets, also when they are those of a list or of an object around the value.
	secretNames = regexp.MustCompile(`(?i)(passw(or)?ds?|passphrase|pwd|pass|secrets?|api_?keys?|access_?keys?|(private|signing|encryption|shared|hmac|master)_?keys?|credentials?)$`)
	// tokenNames hold a secret only when the value looks random: `token` also names settings of tokens, and `key` those of maps.
	tokenNames  = regexp.MustCompile(`(?i)(tokens?|(^|_)keys?|salt)$`)
	looksRandom = regexp.MustCompile(`^[\w+/=.~-]{20,}$`)
	// otherNames are of what stands beside a secret, in an object that is called so.
	otherNames = regexp.MustCompile(`(?i)^(name|names|namespace|kind|group|key|type|id|prefix|path|file|env|header|headers|cluster|host|from|ref|url|in)$`)
	// noSecret are values that say where a secret is: a path or JSON pointer, a placeholder, a cluster, the name of a header.
	noSecret = regexp.MustCompile(`^(/.*|\$\{\w+\}|\$\w+|(outbound|inbound)\|.*|x-[a-z0-9-]+|true|false)?$`)
)

// secretLike says why a value looks like a secret, without the value.
func secretLike(field []string, value string) string {
	for _, s := range secretValues {
		if s.format.MatchString(value) {
			return s.why
		}
	}
	if noSecret.MatchString(value) {
		return ""
	}
	names := slices.DeleteFunc(slices.Clone(field), func(name string) bool {
		_, err := strconv.Atoi(name)
		return err == nil
	})
	for i, name := range names {
		names[i] = strings.ReplaceAll(name, "-", "_")
	}
	last := names[len(names)-1]
	switch {
	case secretNames.MatchString(last),
		tokenNames.MatchString(last) && looksRandom.MatchString(value),
		!otherNames.MatchString(last) && slices.ContainsFunc(names[:len(names)-1], secretNames.MatchString):
		return "looks like a secret by its name"
	case strings.HasPrefix(strings.TrimSpace(value), "{"), strings.HasPrefix(strings.TrimSpace(value), "["):
		return secretInJSON(value)
	}
	return ""
}

// secretInJSON looks into a text that is JSON itself.
func secretInJSON(text string) (why string) {
	var inner structpb.Value
	if inner.UnmarshalJSON([]byte(text)) != nil {
		return ""
	}
	walkStrings(&inner, []string{""}, func(field []string, value string) {
		if why == "" {
			why = secretLike(field, value)
		}
	})
	if why != "" {
		why = "is JSON, in which " + strings.TrimSpace("something "+why)
	}
	return why
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
