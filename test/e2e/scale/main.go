// Command scale measures what plugins cost Istio's control plane, and a roll-out the registry: Istio's own istiod with simulated
// proxies, and the cache of Istio's own agent, all on loopback.
package main

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// istiodArg makes a process of this program the istiod that another one measures.
const istiodArg = "serve-istiod"

func main() {
	if len(os.Args) == 2 && os.Args[1] == istiodArg {
		serveIstiod(os.Stdin, os.Stdout)
		return
	}
	os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr))
}

// sizes are the fleets: a curve over plugins, one over proxies, and the corner.
var sizes = []struct{ plugins, proxies int }{{1, 100}, {10, 100}, {100, 100}, {1000, 100}, {100, 10}, {100, 1000}, {1000, 1000}}

func command() cli.Command {
	var limit time.Duration
	var most int
	var api string
	return cli.Command{
		Name: "scale",
		Args: "istiod|registry",
		About: `Prints lines of CSV. "istiod" is fleets of up to 1,000 plugins and 1,000 proxies: how long a push takes, what it sends, what it
costs istiod, for each API and each way to choose the proxies. "registry" is the requests of one roll-out to 1,000 proxies. It runs
for some twenty minutes, and takes two cores and up to ten GiB.`,
		Flags: func(f *flag.FlagSet) {
			f.DurationVar(&limit, "limit", 90*time.Second, "`time` that one step may take")
			f.IntVar(&most, "most", 1000, "leave out fleets with more than this `number` of plugins or proxies")
			f.StringVar(&api, "api", strings.Join(plugin.Kinds(), ","), "`kinds` of the plugins' objects")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			quiet()
			progress := cli.NewProgress(stderr)
			defer progress.End()
			switch {
			case len(args) == 1 && args[0] == "registry":
				return registries(ctx, stdout, most, progress)
			case len(args) == 1 && args[0] == "istiod":
			default:
				return cli.Usage("want istiod or registry")
			}
			apis := strings.Split(api, ",")
			for _, a := range apis {
				if plugin.APIOf(a) == nil {
					return cli.Usage("--api %q: want some of %s", a, strings.Join(plugin.Kinds(), ", "))
				}
			}
			c := csv.NewWriter(stdout)
			if err := c.Write(header); err != nil {
				return err
			}
			c.Flush()
			for _, size := range sizes {
				if max(size.plugins, size.proxies) > most {
					continue
				}
				for _, a := range apis {
					for _, form := range forms {
						f := fleet{a, form, size.plugins, size.proxies}
						progress.Step(f.String())
						results, err := measureApart(ctx, f, limit)
						if err != nil {
							return fmt.Errorf("%s: %w", f, err)
						}
						if err := write(stdout, results); err != nil {
							return err
						}
					}
				}
			}
			return nil
		},
	}
}

// measureApart gives each fleet an istiod of its own, whose memory is that of this fleet.
func measureApart(ctx context.Context, f fleet, limit time.Duration) ([]result, error) {
	istiod, err := startIstiod()
	if err != nil {
		return nil, err
	}
	defer istiod.stop()
	return measure(ctx, istiod, f, limit)
}
