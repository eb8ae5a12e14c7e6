package main

import (
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/time/rate"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	istiolog "istio.io/istio/pkg/log"
	"istio.io/istio/pkg/test"
)

// Istiod is Istio's own, with a store of objects in memory in place of the API server. Its methods are called by net/rpc, too: it runs
// in a process of its own, so that its memory and CPU time are not those of the proxies.
type Istiod struct{ server *xds.FakeDiscoveryServer }

// Start gives it objects and returns its address.
func (i *Istiod) Start(objects string, address *string) error {
	configs, err := parse(objects)
	if err != nil {
		return err
	}
	ready, failed := make(chan *xds.FakeDiscoveryServer), make(chan error, 1)
	go func() {
		failed <- test.Wrap(func(t test.Failer) {
			ready <- xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
				Configs:         configs,
				DebounceTime:    features.DebounceAfter, // as in production; Istio's tests have none
				ListenerBuilder: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
			})
			select {} // what is deferred would stop it
		})
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("starting istiod: %w", err)
	case i.server = <-ready:
	}
	// Production lets in a few proxies a second, 25 on two cores. That is a known number; here it would hide all others.
	i.server.Discovery.RequestRateLimit.SetLimit(rate.Inf)
	*address = i.server.Listener.Addr().String()
	return nil
}

// Apply creates or changes one object.
func (i *Istiod) Apply(object string, _ *struct{}) error {
	configs, err := parse(object)
	if err != nil {
		return err
	}
	for _, c := range configs {
		store := i.server.Store()
		if old := store.Get(c.GroupVersionKind, c.Name, c.Namespace); old == nil {
			_, err = store.Create(c)
		} else {
			c.ResourceVersion = old.ResourceVersion
			_, err = store.Update(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Usage is what it costs.
type Usage struct {
	CPU     time.Duration
	Heap    uint64 // live, in bytes
	PeakRSS uint64 // bytes
}

// Usage reads what it has cost until now.
func (i *Istiod) Usage(_ struct{}, u *Usage) error {
	self, err := procfs.Self()
	if err != nil {
		return err
	}
	stat, err := self.Stat()
	if err != nil {
		return err
	}
	status, err := self.NewStatus()
	if err != nil {
		return err
	}
	u.CPU = time.Duration(stat.CPUTime() * float64(time.Second))
	u.PeakRSS = status.VmHWM
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.Heap = m.HeapAlloc
	return nil
}

func parse(objects string) ([]config.Config, error) {
	configs, other, err := crd.ParseInputs(objects)
	if err == nil && len(other) > 0 {
		err = fmt.Errorf("%s is no kind of Istio", other[0].Kind)
	}
	now := time.Now()
	for i := range configs {
		configs[i].CreationTimestamp = now
		configs[i].Domain = "cluster.local"
	}
	return configs, err
}

// serveIstiod is the other process: it ends with its standard input.
func serveIstiod(stdin io.ReadCloser, stdout io.WriteCloser) {
	quiet()
	server := rpc.NewServer()
	if err := server.Register(&Istiod{}); err != nil {
		panic(err) // its methods are not what net/rpc wants
	}
	server.ServeConn(pipe{stdin, stdout})
}

// quiet: Istio's libraries say each push.
func quiet() {
	for _, scope := range istiolog.Scopes() {
		scope.SetOutputLevel(istiolog.NoneLevel)
	}
}

type pipe struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipe) Close() error {
	_ = p.WriteCloser.Close()
	return p.ReadCloser.Close()
}

// A control is an istiod in another process.
type control struct {
	*rpc.Client
	cmd *exec.Cmd
}

func startIstiod() (*control, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, istiodArg)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &control{rpc.NewClient(pipe{stdout, stdin}), cmd}, nil
}

// stop ends the process, also one that is busy.
func (c *control) stop() {
	_ = c.cmd.Process.Kill()
	_ = c.Client.Close()
	_ = c.cmd.Wait()
}
