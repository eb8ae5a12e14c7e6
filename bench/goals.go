package main

// The goals: what addheader may cost at most, as a share of a peer's cost.
const (
	goalLua            = 0.6
	goalSDKExample     = 0.7
	goalRust           = 0.9
	goalHeaderMutation = 4.5
	goalStart          = 1.0 / 8 // time to the first 200, of Go wasip1's
	goalRSS            = 1.0 / 2 // RSS over an empty Envoy, of Go wasip1's
)

// A goal compares addheader with one peer.
type goal struct {
	What, Peer string
	Limit      float64
	Ratio      estimate
}

// Met takes the median: the interval is printed beside it.
func (g goal) Met() bool { return g.Ratio.Median <= g.Limit }

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
		request(rust, goalRust),
		request(headerMutation, goalHeaderMutation),
		{"time to the first 200", goWasip1, goalStart, estimateOf(each(starts, func(s map[string]start) float64 {
			return s[ours].first200 / s[goWasip1].first200
		}))},
		{"RSS over an empty Envoy", goWasip1, goalRSS, estimateOf(each(starts, func(s map[string]start) float64 {
			return overEmpty(s, ours) / overEmpty(s, goWasip1)
		}))},
	}
}

// ratioTo is the cost of addheader over that of the peer, taken within each round: what slows a round slows both.
func ratioTo(rounds []round, peer string) estimate {
	return estimateOf(each(rounds, func(r round) float64 { return r.perFilter(ours) / r.perFilter(peer) }))
}

// overEmpty is the RSS that the peer adds to an Envoy without filters.
func overEmpty(s map[string]start, peer string) float64 { return s[peer].rss - s[nothing].rss }
