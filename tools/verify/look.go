package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	typev1beta1 "istio.io/api/type/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
)

type targetRef = typev1beta1.PolicyTargetReference

// How a pod is reached.
const (
	byAddress = "address"
	byForward = "port-forward"
)

// look is a way to look at proxies.
type look interface {
	name() string
	begin(ctx context.Context) error // before each round
	at(ctx context.Context, pod corev1.Pod) (proxystatus.Seen, error)
}

// The ports of a proxy. Who has moved the agent's says so by the annotation, which Istio's injector knows.
const (
	agentPort                 = 15020
	adminPort                 = 15000
	agentPortAnnotation       = "status.sidecar.istio.io/port"
	metricsPath               = "/stats/prometheus"
	receivedPath              = "/config_dump?resource=ecds_filters"
	askTimeout                = 10 * time.Second
	maxAnswer           int64 = 64 << 20
)

func agentPortOf(pod corev1.Pod) int {
	if port, err := strconv.Atoi(pod.Annotations[agentPortAnnotation]); err == nil && port > 0 {
		return port
	}
	return agentPort
}

// direct asks a pod by its address.
type direct struct{}

func (*direct) name() string                { return "the pods' addresses" }
func (*direct) begin(context.Context) error { return nil }

func (*direct) at(ctx context.Context, pod corev1.Pod) (s proxystatus.Seen, err error) {
	if pod.Status.PodIP == "" {
		return s, errors.New("the pod has no address yet")
	}
	body, err := get(ctx, http.DefaultClient, "http://"+net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(agentPortOf(pod)))+metricsPath)
	if err != nil {
		return s, err
	}
	s.Metrics, err = proxystatus.Metrics(bytes.NewReader(body))
	return s, err
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return body, err
}

// forwarded asks a pod through the API server.
type forwarded struct {
	config *rest.Config
	admin  bool
}

func (f *forwarded) name() string {
	if f.admin {
		return "port-forward, with Envoy's admin interface"
	}
	return byForward
}
func (*forwarded) begin(context.Context) error { return nil }

func (f *forwarded) at(ctx context.Context, pod corev1.Pod) (s proxystatus.Seen, err error) {
	ports := []string{":" + strconv.Itoa(agentPortOf(pod))}
	if f.admin {
		ports = append(ports, ":"+strconv.Itoa(adminPort))
	}
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return s, err
	}
	host, err := url.Parse(f.config.Host)
	if err != nil {
		return s, err
	}
	host = host.JoinPath("api/v1/namespaces", pod.Namespace, "pods", pod.Name, "portforward")
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, host)
	stop, ready := make(chan struct{}), make(chan struct{})
	var said bytes.Buffer
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, ports, stop, ready, nil, &said)
	if err != nil {
		return s, err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	stopped := false
	end := func() error {
		if !stopped {
			close(stop)
			stopped = true
			return <-ended
		}
		return nil
	}
	defer func() { _ = end() }()
	select {
	case <-ready:
	case err := <-ended:
		stopped = true
		return s, cmp.Or(err, errors.New("the forward ended"))
	case <-ctx.Done():
		return s, ctx.Err()
	case <-time.After(askTimeout):
		return s, errors.New("the forward was not there in " + askTimeout.String())
	}
	local, err := forwarder.GetPorts()
	if err != nil {
		return s, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(i int, path string) ([]byte, error) {
		body, err := get(ctx, client, fmt.Sprintf("http://127.0.0.1:%d%s", local[i].Local, path))
		if err != nil {
			_ = end() // what it says is written until then
			if text := strings.TrimSpace(said.String()); text != "" {
				err = errors.New(text)
			}
			return nil, fmt.Errorf("port %d: %w", local[i].Remote, err)
		}
		return body, nil
	}
	body, err := ask(0, metricsPath)
	if err != nil {
		return s, err
	}
	if s.Metrics, err = proxystatus.Metrics(bytes.NewReader(body)); err != nil || !f.admin {
		return s, err
	}
	s.Received, err = ask(1, receivedPath)
	return s, err
}

// scraped asks a Prometheus once for all proxies.
type scraped struct {
	api  prometheusv1.API
	url  string
	pods map[string][]proxystatus.Sample // by namespace/name
}

func newPrometheus(url string) (look, error) {
	client, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		return nil, fmt.Errorf("--prometheus: %w", err)
	}
	return &scraped{api: prometheusv1.NewAPI(client), url: url}, nil
}

func (s *scraped) name() string { return "Prometheus" }

// wanted are the metrics that a verdict reads; envoy_server_live says that Envoy's are there.
const wanted = `{__name__=~"wasmfleet_(config|build|running)|wasm_filter_.*_wasmfleet_(config|build|running)|istio_agent_wasm_(config_conversion|remote_fetch)_count|istio_agent_scrapes_total|envoy_server_live|envoy_wasm_.*_vm_reload_.*"}`

// podLabels are how scrape configurations call the pod: Prometheus' own example and Istio's.
var podLabels = [][2]model.LabelName{{"namespace", "pod"}, {"kubernetes_namespace", "kubernetes_pod_name"}, {"namespace", "pod_name"}}

func (s *scraped) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	value, _, err := s.api.Query(ctx, wanted, time.Now())
	if err != nil {
		return errUnreached("Prometheus at "+s.url, err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return fmt.Errorf("the Prometheus at %s answers with a %s. want a vector", s.url, value.Type())
	}
	if len(vector) == 0 {
		return fmt.Errorf("the Prometheus at %s has no metric of a proxy. does it scrape :15020/stats/prometheus of the pods?", s.url)
	}
	s.pods = map[string][]proxystatus.Sample{}
	for _, sample := range vector {
		for _, l := range podLabels {
			if ns, pod := sample.Metric[l[0]], sample.Metric[l[1]]; ns != "" && pod != "" {
				m := proxystatus.Sample{Name: string(sample.Metric[model.MetricNameLabel]), Labels: map[string]string{}, Value: float64(sample.Value)}
				for name, value := range sample.Metric {
					m.Labels[string(name)] = string(value)
				}
				key := string(ns) + "/" + string(pod)
				s.pods[key] = append(s.pods[key], m)
				break
			}
		}
	}
	return nil
}

func (s *scraped) at(_ context.Context, pod corev1.Pod) (proxystatus.Seen, error) {
	metrics, ok := s.pods[pod.Namespace+"/"+pod.Name]
	if !ok {
		return proxystatus.Seen{}, fmt.Errorf("the Prometheus at %s has no metric of this pod", s.url)
	}
	return proxystatus.Seen{Metrics: metrics}, nil
}
