package registry

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Explain turns what a registry or the network answered into one line with a remedy. It never holds credentials.
func Explain(host string, err error) error {
	var certificate *tls.CertificateVerificationError
	var answer *transport.Error
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("%w. if the registry has a certificate of your own authority, give its root with --ca-file", certificate)
	case errors.As(err, &answer):
		return explainAnswer(host, answer)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s speaks plain HTTP. use --plain-http if that is meant", host)
	case errors.As(err, &dns):
		return fmt.Errorf("%w. check the host in --repo", err)
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("%w. is the registry up? --repo says %s", err, host)
	}
	return err
}

func explainAnswer(host string, answer *transport.Error) error {
	said := fmt.Sprintf("%s answers %d", host, answer.StatusCode)
	var codes []string
	for _, d := range answer.Errors {
		codes = append(codes, strings.TrimSpace(string(d.Code)+" "+d.Message))
	}
	if len(codes) > 0 {
		said += " (" + strings.Join(codes, "; ") + ")"
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf(`%s. run "docker login %s" with an account that may push there; credentials are read from ~/.docker/config.json or $DOCKER_CONFIG`, said, host)
	case http.StatusUnsupportedMediaType, http.StatusBadRequest:
		if strings.Contains(strings.ToUpper(said), "MANIFEST") || answer.StatusCode == http.StatusUnsupportedMediaType {
			return fmt.Errorf("%s. a registry that refuses the artifact's media types may take --variant compat", said)
		}
	case http.StatusMethodNotAllowed:
		return fmt.Errorf("%s. is the registry read-only?", said)
	case http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
		return fmt.Errorf("%s. ask who runs the registry about its quota", said)
	}
	return errors.New(said)
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
