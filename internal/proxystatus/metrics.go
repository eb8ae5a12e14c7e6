package proxystatus

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Sample is one value of a metric.
type Sample struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Metrics reads what a pod serves on :15020/stats/prometheus: the agent's metrics and Envoy's.
func Metrics(text io.Reader) ([]Sample, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, fmt.Errorf("its metrics: %w", err)
	}
	var all []Sample
	for _, name := range slices.Sorted(maps.Keys(families)) {
		for _, m := range families[name].Metric {
			value, ok := valueOf(m)
			if !ok {
				continue
			}
			s := Sample{name, map[string]string{}, value}
			for _, l := range m.Label {
				s.Labels[l.GetName()] = l.GetValue()
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// valueOf is the value of what has one; a histogram has none.
func valueOf(m *dto.Metric) (float64, bool) {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue(), true
	case m.Counter != nil:
		return m.Counter.GetValue(), true
	case m.Untyped != nil:
		return m.Untyped.GetValue(), true
	}
	return 0, false
}

// proof is what a filter says in the VM (tools/filterbuild/sdk/proof.go).
type proof struct {
	configuration, build uint64
	running              float64 // contexts of it: one for each worker, and one
}

// The gauges of the proof, as Prometheus has them: Istio's bootstrap makes a label of the object, an Envoy without it does not.
const (
	configGauge, buildGauge, runningGauge = "wasmfleet_config", "wasmfleet_build", "wasmfleet_running"
	objectLabel                           = "wasm_filter"
)

// proven is what the filter of an object says; false when it says nothing.
func (s Seen) proven(object string) (p proof, ok bool) {
	plain := mangled(objectLabel + "_" + object + "_")
	for _, m := range s.Metrics {
		name, whole := strings.CutPrefix(m.Name, plain)
		if !whole && m.Labels[objectLabel] != labelOf(object) {
			continue
		}
		switch name {
		case configGauge:
			p.configuration, ok = uint64(m.Value), true
		case buildGauge:
			p.build = uint64(m.Value)
		case runningGauge:
			p.running = m.Value
		}
	}
	return p, ok
}

// is reports whether that runs which is wanted.
func (p proof) is(w Want) bool {
	return p.configuration == w.Configuration && p.build == w.Build && p.running > 0
}

// labelOf is the object in a label: filters/internal/metric, Prefix.
func labelOf(object string) string { return strings.ReplaceAll(object, ".", "_") }

// mangled is what Envoy makes of a name for Prometheus.
func mangled(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
}

// shows reports whether these are the metrics of a proxy at all.
func (s Seen) shows() bool {
	return slices.ContainsFunc(s.Metrics, func(m Sample) bool { return strings.HasPrefix(m.Name, "envoy_") }) &&
		slices.ContainsFunc(s.Metrics, func(m Sample) bool { return strings.HasPrefix(m.Name, "istio_agent_") })
}

// failures are what became of the agent's conversions that are no success, such as "fetch_failure 2"; empty when there are none. They are of
// all filters of the proxy, since it began to run.
func (s Seen) failures() string {
	var all []string
	for _, m := range s.Metrics {
		result := m.Labels["result"]
		if m.Name == "istio_agent_wasm_config_conversion_count" && m.Value > 0 && result != "success" && result != "no_remote_load" {
			all = append(all, fmt.Sprintf("%s %.0f", result, m.Value))
		}
		if m.Name == "istio_agent_wasm_remote_fetch_count" && m.Value > 0 && result != "success" {
			all = append(all, fmt.Sprintf("%s %.0f", result, m.Value))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// restarts are how often the VM of an object was started anew after a trap, and how often it was not: it waits then, or could not.
func (s Seen) restarts(object string) (done, not float64) {
	for _, m := range s.Metrics {
		name, kind, ok := strings.Cut(m.Name, "_vm_reload_")
		name, wasm := strings.CutPrefix(name, "envoy_wasm_")
		// Istiod puts the API before the name, in some versions.
		for _, api := range []string{"_wasmplugin_", "_trafficextension_"} {
			if i := strings.LastIndex(name, api); i >= 0 {
				name = name[i+len(api):]
			}
		}
		if !ok || !wasm || strings.TrimSuffix(name, "_istio_translated_wasmplugin") != mangled(object) {
			continue
		}
		if kind == "success" {
			done += m.Value
		} else {
			not += m.Value
		}
	}
	return done, not
}
