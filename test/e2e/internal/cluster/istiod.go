package cluster

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/programs"
)

// SystemNamespace is Istio's own, and its root namespace.
const SystemNamespace = "istio-system"

// IstiodOptions are optional.
type IstiodOptions struct {
	Env []string // further environment variables
}

// Istiod is Istio's control plane, whose webhook validates what the API is given.
type Istiod struct {
	URL     string // debug endpoints
	Metrics string // URL of its own metrics
	Process *process.Process

	api     *API
	address string // of its discovery service, with mTLS
}

// StartIstiod returns when istiod serves proxies and the webhook is in place.
func StartIstiod(t testing.TB, a *API, o IstiodOptions) *Istiod {
	t.Helper()
	a.Namespaces(t, SystemNamespace)
	dir, debug, https, monitoring := shortDir(t), process.Address(t), process.Address(t), process.Address(t)
	i := &Istiod{URL: "http://" + debug, Metrics: "http://" + monitoring + "/metrics", api: a, address: process.Address(t)}
	mesh := filepath.Join(dir, "mesh.yaml")
	require.NoError(t, os.WriteFile(mesh, []byte("rootNamespace: "+SystemNamespace+"\ndefaultConfig: {discoveryAddress: '"+i.address+"'}\n"), 0o600))
	i.Process = process.Start(t, process.Program{
		Name: "istiod",
		Path: programs.Path(t, programs.Istiod),
		Args: []string{
			"discovery", "--kubeconfig=" + a.Kubeconfig(t, Admin, ""), "--meshConfig=" + mesh, "--namespace=" + SystemNamespace,
			"--httpAddr=" + debug, "--httpsAddr=" + https, "--grpcAddr=", "--secureGRPCAddr=" + i.address,
			"--monitoringAddr=" + monitoring, "--ctrlz_port=0",
		},
		Env: append([]string{
			"HOME=" + dir, "POD_NAMESPACE=" + SystemNamespace, "POD_NAME=istiod", "CLUSTER_ID=Kubernetes", "REVISION=default",
			"PILOT_CERT_PROVIDER=istiod", "ISTIOD_CUSTOM_HOST=localhost",
			"VALIDATION_WEBHOOK_CONFIG_NAME=", "INJECTION_WEBHOOK_CONFIG_NAME=", "PILOT_ENABLE_GATEWAY_API=false",
			// These would send filters that only Istio's own build of Envoy has.
			"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false",
		}, o.Env...),
		Dir:   dir,
		Ready: answers(i.URL + "/ready"),
	})
	i.registerWebhook(t, https)
	return i
}

// registerWebhook does what istiod does for itself where it is a Service.
func (i *Istiod) registerWebhook(t testing.TB, address string) {
	t.Helper()
	var ca []byte
	process.Until(t, timeout, "istiod's CA", func(ctx context.Context) error {
		secret, err := i.api.CoreV1().Secrets(SystemNamespace).Get(ctx, "istio-ca-secret", metav1.GetOptions{})
		if err == nil {
			ca = secret.Data["ca-cert.pem"]
		}
		return err
	})
	process.Until(t, timeout, "istiod's webhook", Listens(address))
	_, port, _ := net.SplitHostPort(address)
	url := "https://localhost:" + port + "/validate"
	fail, none := admissionv1.Fail, admissionv1.SideEffectClassNone
	_, err := i.api.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-validator"},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:         "rev.validation.istio.io",
			ClientConfig: admissionv1.WebhookClientConfig{URL: &url, CABundle: ca},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule: admissionv1.Rule{
					APIGroups:   []string{"security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"},
					APIVersions: []string{"*"}, Resources: []string{"*"},
				},
			}},
			FailurePolicy: &fail, SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
}
