// Package dev is the verb for who writes a filter: it builds what is saved into a running Envoy, shows what each filter of the chain did
// to a request, and says where a filter failed.
package dev

import (
	"context"
	"flag"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// options are the flags.
type options struct {
	root, tools, builder string
	env, namespace       string
	listen, page         string
	plainHTTP            bool

	filter string
}

func (o options) filters() string   { return filepath.Join(o.root, "filters") }
func (o options) manifests() string { return filepath.Join(o.root, "manifests") }
func (o options) build() string     { return filepath.Join(o.root, "build") }

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "dev",
		Title: "a filter in a real Envoy that takes each change as it is saved, with a page to try it",
		Args:  "FILTER",
		About: `Builds FILTER with names, lines and the texts of panics, and runs it in an Envoy on this machine with an echo backend behind it and a
stand-in for each service that it calls. It prints the URL to curl and that of the playground, a page on the loopback that sends the
examples, shows what each filter changed, and tries other configurations. Until interrupted it follows sources, schema, base, overlay
and examples: what builds and is accepted goes into service at once, and until then the version before serves on. A trap is said with
filter, callback, text and line, a request that waits and a callback that does not return with the filter that it is in.
Nothing but build/dev is written: no pin, nothing that git has.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.root, "root", ".", "`folder` of the repository")
			f.StringVar(&o.tools, "tools", "", "the `folder` of the toolchain; .tools in root when absent")
			f.StringVar(&o.builder, "filterbuild", "", "the `program` that compiles; filterbuild beside this one when absent")
			f.StringVar(&o.env, "env", "", "the `environment` whose overlay configures FILTER and whose other filters run beside it; the base alone when absent")
			f.StringVar(&o.namespace, "namespace", "", "the proxy of this `namespace` of the environment; the first one that has FILTER when absent")
			f.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` of Envoy; port 0 takes a free one")
			f.StringVar(&o.page, "page", "127.0.0.1:0", "`address` of the playground, on the loopback; port 0 takes a free one")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry of other filters (hosts on loopback always do)")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one filter")
			}
			o.filter = args[0]
			err := o.run(ctx, stdout, stderr)
			if ctx.Err() != nil {
				return nil // interrupted, as this command always ends
			}
			return err
		},
	}
}

func (o options) run(ctx context.Context, stdout, stderr io.Writer) error {
	listen, err := address("--listen", o.listen)
	if err != nil {
		return err
	}
	page, err := address("--page", o.page)
	if err != nil {
		return err
	}
	if !page.Addr().IsLoopback() {
		return cli.Usage("--page %q: the playground runs what it is told, so it listens on the loopback alone, such as 127.0.0.1:8081", o.page)
	}
	f, err := catalog.Find(o.filters(), o.filter)
	if err != nil {
		return err
	}
	program, err := envoy.FindEnvoy()
	if err != nil {
		return err
	}
	if o.tools == "" {
		o.tools = filepath.Join(o.root, ".tools")
	}
	if o.builder == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		o.builder = filepath.Join(filepath.Dir(self), "filterbuild")
	}
	s := newSession(o, f, program, stderr)
	defer s.stop()
	return s.run(ctx, listen, page, stdout)
}

func address(flag, s string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err == nil && (host == "" || host == "localhost") {
		host = "127.0.0.1"
	}
	a, parseErr := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || parseErr != nil {
		return a, cli.Usage("%s %q: want an IP address and a port, such as 127.0.0.1:8080", flag, s)
	}
	return a, nil
}
