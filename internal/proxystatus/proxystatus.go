// Package proxystatus says what a proxy runs of what it is to run, from what the proxy shows.
//
// Neither Istio nor Envoy's configuration says it: a fallback that denies is accepted, a configuration that Envoy has refused is shown as
// received, and istiod forgets a refusal at the next push. A filter of this repository's build says itself, in the VM, which configuration
// it has accepted and which build it is. What is not seen is unknown here, and never taken for good.
package proxystatus

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// State is what a proxy makes of an object.
type State string

const (
	// Running: the pinned build runs with the rendered configuration.
	Running State = "running"
	// Other: another build or configuration runs, or what was received last is another.
	Other State = "other"
	// Denying: the agent could not get the image, and every request is answered with 403.
	Denying State = "image missing, denying"
	// Passing: the agent could not get the image, and requests pass without the filter: failStrategy is FAIL_OPEN.
	Passing State = "image missing, passing"
	// Refused: Envoy has received what it should and does not run it: it runs what was before, or, in a new proxy, answers 500.
	Refused State = "refused"
	// Waiting: nothing of it runs. No configuration of it was accepted so far, or it was taken away.
	Waiting State = "waiting"
	// Trapped: it ran, and its VM ends again and again.
	Trapped State = "trapped"
	// Unexplained: the proxy has a filter that none of the objects explains.
	Unexplained State = "unexplained"
	// Unknown: the proxy does not show it.
	Unknown State = "unknown"
)

// Want is an object that a proxy is to run.
type Want struct {
	Object        string // namespace/name
	Digest        string // of its image, sha256:…
	Configuration uint64 // plugin.Fingerprint of what istiod sends
	Build         uint64 // wasmfile.Build of the module
	Silent        string // why the module does not say what runs; empty when it does
	Missing       bool   // its registry does not have it
	Open          bool   // failStrategy is FAIL_OPEN
}

// Seen is what a proxy shows: its metrics, from :15020 or from Prometheus, and, where somebody may look there, what Envoy has received.
type Seen struct {
	Metrics  []Sample
	Received []byte // Envoy's /config_dump?resource=ecds_filters; nil when it was not asked
}

// Verdict is what is known of one object on one proxy.
type Verdict struct {
	Object string `json:"object"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
}

// Judge gives a verdict for each wanted object, and with Received one for each filter of these namespaces that nothing explains; by
// object. Earlier is what the same proxy showed before, if it was asked: a VM that was started anew since then traps.
func Judge(s Seen, wants []Want, namespaces []string, earlier *Seen) ([]Verdict, error) {
	var has map[string]received
	if s.Received != nil {
		var err error
		if has, err = receivedOf(s.Received); err != nil {
			return nil, fmt.Errorf("what Envoy has received: %w", err)
		}
	}
	var all []Verdict
	for _, w := range wants {
		v := Verdict{Object: w.Object}
		if s.Received == nil {
			v.State, v.Reason = s.byMetrics(w)
		} else {
			r, ok := has[w.Object]
			v.State, v.Reason = s.byReceived(w, r, ok)
		}
		if v.State == Running {
			v.State, v.Reason = s.trapped(w, earlier)
		}
		all = append(all, v)
		delete(has, w.Object)
	}
	for object := range has {
		if ns, _, _ := strings.Cut(object, "/"); slices.Contains(namespaces, ns) {
			all = append(all, Verdict{object, Unexplained, "the proxy has it from elsewhere: another branch, another hand, or a sync that is not done"})
		}
	}
	slices.SortFunc(all, func(a, b Verdict) int { return cmp.Compare(a.Object, b.Object) })
	return all, nil
}

// byMetrics judges by what the filter and the agent say. The count of what runs is too high after a trap, which ends a VM without
// asking the filter.
func (s Seen) byMetrics(w Want) (State, string) {
	says, ok := s.proven(w.Object)
	failures := s.failures()
	again, not := s.restarts(w.Object)
	switch {
	case !s.shows():
		return Unknown, "its metrics are not those of a proxy with Istio's agent. is :15020/stats/prometheus closed, or merging off (prometheus.istio.io/merge-metrics)?"
	case w.Missing && failures != "":
		return w.fallback(), "the registry does not have the image, and the agent could not get one: " + failures
	case w.Silent != "":
		return Unknown, w.Silent + ". --admin says what Envoy has received"
	case ok && says.is(w) && failures != "" && again+not > 0:
		return Unknown, "it ran, and since the proxy began a VM was lost and an image was not to be had (" + failures + "): which, --admin says"
	case ok && says.is(w):
		return Running, ""
	case ok && says.running > 0: // the agent's fallback would have taken it away
		return Other, w.differs(says)
	case failures != "":
		return w.fallback(), "the agent could not get the image of a filter: " + failures
	case ok:
		return Waiting, "it ran and was taken away: is its object in the cluster?"
	}
	return Waiting, "no configuration of it was accepted so far: not received, refused, or in no listener. --admin says which"
}

// byReceived judges by what Envoy has received, and by what the filter says of it.
func (s Seen) byReceived(w Want, r received, ok bool) (State, string) {
	says, said := s.proven(w.Object)
	switch {
	case !ok:
		return Waiting, "Envoy has not received it: is the object in the cluster, is istiod reached, has a listener a use for it?"
	case r.fallback != "":
		return r.fallback, "the agent could not get the image: " + cmp.Or(s.failures(), "it had no credentials, or the url is none")
	case r.other:
		return Unknown, "in its place is another filter than Wasm"
	case r.digest != w.Digest:
		return Other, "it has received image " + r.digest + ", the pin is " + w.Digest
	case r.configuration != w.Configuration:
		return Other, "it has received another configuration than the rendered one"
	case w.Silent != "":
		return Unknown, "it has received what it should. whether Envoy took it is not shown: " + w.Silent
	case !s.shows():
		return Unknown, "it has received what it should. whether Envoy took it is not shown: its metrics are not those of a proxy"
	case said && says.is(w):
		return Running, ""
	case said && says.running > 0:
		return Refused, "it has received what it should, and runs what was before (" + w.differs(says) + "). Envoy's log has the filter's words"
	}
	return Refused, "it has received what it should, and has accepted no configuration of it: requests get 500. Envoy's log has the filter's words"
}

func (w Want) fallback() State {
	if w.Open {
		return Passing
	}
	return Denying
}

func (w Want) differs(says proof) string {
	switch {
	case says.configuration == w.Configuration:
		return "it runs another build than the pinned one"
	case says.build == w.Build:
		return "it runs the pinned build with another configuration"
	}
	return "it runs another build with another configuration"
}

// trapped looks at the VM of what runs: a gauge outlives it.
func (s Seen) trapped(w Want, earlier *Seen) (State, string) {
	done, not := s.restarts(w.Object)
	if earlier != nil {
		if was, wasNot := earlier.restarts(w.Object); done > was || not > wasNot {
			return Trapped, fmt.Sprintf("its VM was started anew %.0f times, %.0f times it had to wait; meanwhile failStrategy answers. Envoy's log has the trap", done, not)
		}
	}
	if done+not > 0 {
		return Running, fmt.Sprintf("its VM was started anew %.0f times after a trap, not lately", done)
	}
	return Running, ""
}
