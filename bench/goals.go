package main

import "fmt"

// The goals: what addheader may cost at most, as a share of a peer's cost.
const (
	goalLua            = 0.5
	goalSDKExample     = 0.6
	goalRustPruned     = 1.0
	goalHeaderMutation = 3.5
	goalStart          = 1.0 // time to the first 200, of the SDK's own build
	goalRSS            = 1.0 // RSS over an empty Envoy, of the SDK's own build
)

// A goal compares addheader with one peer.
type goal struct {
	What, Peer string
	Limit      float64
	Ratio      estimate
}

// Met takes the median: the interval is printed beside it.
func (g goal) Met() bool { return g.Ratio.Median <= g.Limit }

// missed names the goals that are not met.
func (r report) missed() (all []string) {
	for _, g := range r.Goals {
		if !g.Met() {
			all = append(all, fmt.Sprintf("%s, of %s: %.3g, at most %.3g", g.What, g.Peer, g.Ratio.Median, g.Limit))
		}
	}
	return all
}

// Verdict is the word in the tables.
func (g goal) Verdict() string {
	if g.Met() {
		return "pass"
	}
	return "miss"
}

func goalsOf(rounds []round, starts []map[string]start) []goal {
	request := func(peer string, limit float64) goal {
		return goal{"CPU time per request", peer, limit, ratioTo(rounds, peer)}
	}
	return []goal{
		request(lua, goalLua),
		request(sdkExample, goalSDKExample),
		request(rustPruned, goalRustPruned),
		request(headerMutation, goalHeaderMutation),
		{"time to the first 200", sdkExample, goalStart, estimateOf(each(starts, func(s map[string]start) float64 {
			return s[ours].first200 / s[sdkExample].first200
		}))},
		{"RSS over an empty Envoy", sdkExample, goalRSS, estimateOf(each(starts, func(s map[string]start) float64 {
			return overEmpty(s, ours) / overEmpty(s, sdkExample)
		}))},
	}
}

// ratioTo is the cost of addheader over that of the peer, taken within each round: what slows a round slows both.
func ratioTo(rounds []round, peer string) estimate {
	return estimateOf(each(rounds, func(r round) float64 { return r.perFilter(ours) / r.perFilter(peer) }))
}

// overEmpty is the RSS that the peer adds to an Envoy without filters.
func overEmpty(s map[string]start, peer string) float64 { return s[peer].rss - s[nothing].rss }
