package plugin

import (
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// Upstream is the service that a callout goes to, as pluginConfig says.
type Upstream struct {
	Field   []string // where it stands, from pluginConfig on
	Host    string   // empty when the configuration names a cluster or nothing
	Port    int
	Cluster string // of Envoy; empty when the configuration names neither host and port nor a cluster
	Err     error  // why there is no cluster, of an upstream that is there
}

// Upstream is where the callout's JSON pointer (RFC 6901) leads in pluginConfig.
func (p *Plugin) Upstream(c catalog.Callout) Upstream {
	u := Upstream{Field: []string{"pluginConfig"}}
	value := structpb.NewStructValue(p.Spec.PluginConfig)
	for token := range jsontext.Pointer(c.Upstream).Tokens() {
		u.Field = append(u.Field, token)
		value = child(value, token)
	}
	if value == nil {
		return u // the filter decides whether it can do without
	}
	fields := value.GetStructValue().GetFields()
	u.Host = fields["host"].GetStringValue()
	port := fields["port"].GetNumberValue()
	if u.Cluster = fields["cluster"].GetStringValue(); u.Cluster != "" {
		u.Host = ""
		return u
	}
	if u.Port = int(port); u.Host == "" || port < 1 || port > 65535 || port != float64(u.Port) {
		u.Err = errors.New("want host and port of the upstream, or its cluster")
		return u
	}
	u.Cluster = envoy.OutboundCluster(u.Host, u.Port)
	return u
}

// child is a member of an object or an element of a list; nil when there is none.
func child(v *structpb.Value, token string) *structpb.Value {
	if list := v.GetListValue(); list != nil {
		i, err := strconv.Atoi(token)
		if err != nil || i < 0 || i >= len(list.Values) || token != strconv.Itoa(i) {
			return nil
		}
		return list.Values[i]
	}
	return v.GetStructValue().GetFields()[token]
}
