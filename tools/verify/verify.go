// Package verify is the verb that asks the proxies of a cluster whether they run what an environment pins.
package verify

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
)

// options are the flags.
type options struct {
	dir, filters        string
	kubeconfig, context string
	pods, prometheus    string
	via, format         string
	admin               bool
	timeout             time.Duration
	plainHTTP           bool
	caFile              string
}

// formats are how the verdicts are written.
var formats = map[string]func(report, io.Writer) error{"text": report.text, "json": report.json, "junit": report.junit}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "verify",
		Title: "whether the proxies of a cluster run what an environment pins",
		Args:  "ENV",
		About: `Renders ENV, finds the pods that its objects choose, and asks each proxy what it runs: a filter of this repository's build says which
configuration it has accepted, and which build it is. It exits 0 only when every proxy runs what is pinned, and every object has a proxy; what
a proxy does not show is unknown, which is 1; a cluster that cannot be asked is 3. It asks until --timeout is over, since proxies take a moment.

Three ways to look, least rights first: --prometheus, whose server has scraped the pods; each pod's :15020/stats/prometheus, by its
address inside of a cluster and by port-forward from elsewhere; --admin, Envoy's own interface by port-forward, for the reasons.
It only reads: pods (get, list), and pods/portforward (create) where it forwards.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` that says how to reach the cluster (else KUBECONFIG, ~/.kube/config, the pod's own account)")
			f.StringVar(&o.context, "context", "", "`name` of a context of it")
			f.StringVar(&o.pods, "pods", "", "`file` with the pods, as \"kubectl get pods -A -o json\" prints them, in place of asking the cluster; - is stdin")
			f.StringVar(&o.prometheus, "prometheus", "", "`url` of a Prometheus that scrapes the pods")
			f.StringVar(&o.via, "via", "", "how to reach a pod: address or port-forward (else address inside of a cluster)")
			f.BoolVar(&o.admin, "admin", false, "ask Envoy's admin interface, too, by port-forward: says why")
			f.StringVar(&o.format, "format", "text", "text, json or junit")
			f.DurationVar(&o.timeout, "timeout", 0, "ask again until all is well or this is over, such as 120s")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry of the pinned images (hosts on loopback may always)")
			f.StringVar(&o.caFile, "ca-file", "", "`file` with further root certificates (PEM) of the registry")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			switch {
			case len(args) != 1:
				return cli.Usage("want one environment")
			case formats[o.format] == nil:
				return cli.Usage("--format %q: want text, json or junit", o.format)
			case o.via != "" && o.via != byAddress && o.via != byForward:
				return cli.Usage("--via %q: want %s or %s", o.via, byAddress, byForward)
			case o.admin && o.prometheus != "":
				return cli.Usage("--admin asks each Envoy, --prometheus none. choose one")
			}
			return run(ctx, o, args[0], stdout, stderr)
		},
	}
}

// every is how often proxies are asked.
const every = 2 * time.Second

func run(ctx context.Context, o options, name string, stdout, stderr io.Writer) error {
	env, err := manifests.Load(o.dir, name)
	if err != nil {
		return err
	}
	bar := cli.NewProgress(stderr)
	defer bar.End()
	bar.Step("rendering " + name)
	expected, err := expect(ctx, o, env)
	if err != nil {
		return err
	}
	for _, name := range expected.byHand {
		bar.End()
		fmt.Fprintf(stderr, "verify: %s is written by hand: whether its filter runs is not looked at\n", name)
	}
	bar.Step("asking the cluster")
	look, pods, err := open(o)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(o.timeout)
	earlier := map[string]*proxystatus.Seen{}
	for {
		r, err := ask(ctx, expected, look, pods, earlier, bar)
		if err != nil {
			return err
		}
		r.Environment, r.Looked = name, look.name()
		if r.ok() || !time.Now().Add(every).Before(deadline) {
			bar.End()
			return r.end(o.format, stdout, stderr)
		}
		bar.Step(r.summary())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

// asks bounds the proxies that are asked at once: a forward is three round trips of the API server.
const asks = 32

// ask looks at every proxy once.
func ask(ctx context.Context, e expected, look look, list lister, earlier map[string]*proxystatus.Seen, bar cli.Progress) (report, error) {
	pods, err := list(ctx, e.listed())
	if err != nil {
		return report{}, err
	}
	if err := e.known(pods); err != nil {
		return report{}, err
	}
	if err := look.begin(ctx); err != nil {
		return report{}, err
	}
	var proxies []proxy
	for _, p := range pods {
		if wants, unclear := e.of(p); len(wants) > 0 || len(unclear) > 0 {
			proxies = append(proxies, proxy{pod: p, Pod: p.Namespace + "/" + p.Name, wants: wants, Verdicts: unclear})
		}
	}
	seen := make([]*proxystatus.Seen, len(proxies))
	var group errgroup.Group
	group.SetLimit(asks)
	for i := range proxies {
		group.Go(func() error {
			p := &proxies[i]
			s, err := look.at(ctx, p.pod)
			if err != nil {
				p.unseen(err)
				return nil
			}
			verdicts, err := proxystatus.Judge(s, p.wants, e.namespaces, earlier[p.Pod])
			if err != nil {
				p.unseen(err)
				return nil
			}
			p.Verdicts = append(p.Verdicts, verdicts...)
			seen[i] = &s
			return nil
		})
	}
	bar.Step(fmt.Sprintf("asking %d proxies", len(proxies)))
	_ = group.Wait()
	if err := ctx.Err(); err != nil {
		return report{}, err
	}
	for i, p := range proxies {
		if seen[i] != nil && earlier[p.Pod] == nil {
			earlier[p.Pod] = seen[i]
		}
	}
	return e.report(proxies), nil
}

// unseen: the proxy could not be asked.
func (p *proxy) unseen(err error) {
	for _, w := range p.wants {
		p.Verdicts = append(p.Verdicts, proxystatus.Verdict{Object: w.Object, State: proxystatus.Unknown, Reason: "asking the proxy: " + oneLine(err)})
	}
}

// read is the content of a file; - is stdin.
func read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}

// errUnreached is the cluster's: exit code 3.
func errUnreached(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %s", what, oneLine(err))
}
