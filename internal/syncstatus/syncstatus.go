package syncstatus

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is what a client meets.
type State string

const (
	// Running: the filter runs with the configuration that was last received.
	Running State = "running"
	// Refused: Envoy has refused what was last received, and the one before runs on. A new proxy would have none: Failing.
	Refused State = "refused"
	// Failing: Envoy has refused the first configuration that it received, and answers every request with 500, whatever
	// failStrategy says.
	Failing State = "failing"
	// Denying: the agent could not fetch the image, and every request is answered with 403.
	Denying State = "image missing, denying"
	// Passing: the agent could not fetch the image, and requests pass without the filter: failStrategy is FAIL_OPEN.
	Passing State = "image missing, passing"
	// Waiting: the filter is in a listener and its configuration has not come.
	Waiting State = "waiting"
	// Unproven: since the proxy began to run, Envoy has refused something that came together with this filter. From one look it
	// cannot be told whether that was this filter; a look before the sync can: Since.
	Unproven State = "unproven"
)

// Filter is a filter on a proxy.
type Filter struct {
	Name   string // namespace.name of its object
	State  State
	Digest string // of the image that was last received, sha256:…; it runs when the state is Running
	Reason string // why it does not run

	received time.Time // when Envoy got the configuration
	refusals int       // how often Envoy has refused it, or what came with it
}

// Status is what runs on a proxy.
type Status struct {
	Proxy   string
	Filters []Filter // by name

	started time.Time // of Envoy, to the second
}

// OK says that every filter runs as it was last sent.
func (s Status) OK() bool {
	return !slices.ContainsFunc(s.Filters, func(f Filter) bool { return f.State != Running })
}

// Filter is the filter of an object, such as web.addheader; false when the proxy has none.
func (s Status) Filter(name string) (Filter, bool) {
	for _, f := range s.Filters {
		if f.Name == name {
			return f, true
		}
	}
	return Filter{}, false
}

// Read makes a status of the signals.
func Read(s Signals) (Status, error) {
	status := Status{Proxy: s.Proxy}
	names, err := discovered(s.Listeners)
	if err != nil {
		return status, fmt.Errorf("listeners of %s: %w", s.Proxy, err)
	}
	extensions, err := extensions(s.Extensions)
	if err != nil {
		return status, fmt.Errorf("extensions of %s: %w", s.Proxy, err)
	}
	rejection, err := rejection(s.Syncz, s.Proxy)
	if err != nil {
		return status, fmt.Errorf("istiod on %s: %w", s.Proxy, err)
	}
	stats := stats(s.Stats)
	uptime, err := uptime(s.Server)
	if err != nil {
		return status, fmt.Errorf("uptime of %s: %w", s.Proxy, err)
	}
	status.started = s.Time.Add(-uptime)
	for resource := range names {
		counters := func(name string) int { return stats["extension_config_discovery.http_filter."+resource+"."+name] }
		f := Filter{Name: objectName(resource), refusals: counters("config_fail")}
		e, received := extensions[resource]
		if received {
			f.Digest, f.received = e.digest, e.updated
		}
		accepted := time.UnixMilli(int64(counters("update_time"))) // when Envoy last accepted something, be it the same again
		switch {
		case !received:
			f.State = Waiting
			f.Reason = "no configuration has come. is istiod reached, and is the image small enough to be fetched in time?"
		case f.refusals > 0 && counters("update_success") == 0:
			f.State, f.Reason = Failing, cmp.Or(rejection, "Envoy's log has the filter's words")
		case accepted.Before(e.updated.Truncate(time.Millisecond)):
			f.State, f.Reason = Refused, cmp.Or(rejection, "Envoy's log has the filter's words")
		case e.fallback != "":
			f.State, f.Reason = e.fallback, fetchFailures(s.Agent)
		case f.refusals > 0:
			f.State, f.Reason = Unproven, fmt.Sprintf("refused since the proxy began to run: %d times this or what came with it", f.refusals)
		default:
			f.State = Running
		}
		status.Filters = append(status.Filters, f)
	}
	slices.SortFunc(status.Filters, func(a, b Filter) int { return cmp.Compare(a.Name, b.Name) })
	return status, nil
}

// Since decides what is unproven by an earlier status of the same proxy: what has not been received anew is in the state it was
// in, and what has come since then without a refusal runs.
func (s Status) Since(before Status) Status {
	if s.started.Sub(before.started).Abs() > 2*time.Second {
		return s // another Envoy, which has counted anew
	}
	s.Filters = slices.Clone(s.Filters)
	for i, f := range s.Filters {
		old, ok := before.Filter(f.Name)
		switch {
		case f.State != Unproven || !ok:
		case f.received.Equal(old.received):
			s.Filters[i].State, s.Filters[i].Reason = old.State, old.Reason
		case f.refusals == old.refusals:
			s.Filters[i].State, s.Filters[i].Reason = Running, ""
		}
	}
	return s
}

// objectName is the object that istiod made the resource of. The prefix and the suffix differ by version; a resource of an
// EnvoyFilter has neither.
func objectName(resource string) string {
	name := resource[strings.LastIndex(resource, "/")+1:]
	return strings.TrimSuffix(name, "~istio-translated-wasmplugin")
}
