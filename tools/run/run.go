// Package run is the verb that serves an environment's rendered filters in a real Envoy on this machine and follows what is rendered next.
package run

import (
	"context"
	"flag"
	"io"
	"net"
	"net/netip"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// options are the flags.
type options struct {
	dir, build, filters string
	namespace, listen   string
	plainHTTP           bool
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "run",
		Title: "a real Envoy with an environment's rendered configuration",
		Args:  "ENV",
		About: `Starts Envoy on this machine with the WasmPlugins of manifests/rendered/ENV, an echo backend behind it and a stand-in for each
service that a filter calls, and prints the URL to curl. Modules come from the registry by their digest. Until interrupted it
follows the rendered files: what the filters accept goes into service at once, what they refuse is reported and changes nothing.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.namespace, "namespace", "", "the proxy of this `namespace`, which has its plugins and those of the root namespace; the first one when absent")
			f.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` to listen on; port 0 takes a free one")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback always do)")
			f.StringVar(&o.build, "build", "build", "`folder` of compiled modules, for pins that no registry has")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one environment")
			}
			listen, err := parseAddress(o.listen)
			if err != nil {
				return err
			}
			env, err := manifests.Load(o.dir, args[0])
			if err != nil {
				return err
			}
			program, err := envoy.FindEnvoy()
			if err != nil {
				return err
			}
			err = newSession(o, env, program, stderr).run(ctx, listen, stdout)
			if ctx.Err() != nil {
				return nil // interrupted, as this command always ends
			}
			return err
		},
	}
}

func parseAddress(s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err == nil && (host == "" || host == "localhost") {
		host = "127.0.0.1"
	}
	address, parseErr := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || parseErr != nil {
		return address, cli.Usage("--listen %q: want an IP address and a port, such as 127.0.0.1:8080", s)
	}
	return address, nil
}
