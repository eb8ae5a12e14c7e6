package preflight

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// FindEnvoy is the path of the Envoy to use: $ENVOY, else what `make tools` installed in the working directory or above, else
// the one on PATH.
func FindEnvoy() (string, error) {
	if path := os.Getenv("ENVOY"); path != "" {
		if found, err := exec.LookPath(path); err == nil {
			return filepath.Abs(found)
		}
		return "", errors.New(`envoy not found: ENVOY=` + path + ` is no program. run "make tools" or set ENVOY=/path`)
	}
	dir, err := os.Getwd()
	for err == nil {
		if found, err := exec.LookPath(filepath.Join(dir, ".tools", "bin", "envoy")); err == nil {
			return found, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	if found, err := exec.LookPath("envoy"); err == nil {
		return filepath.Abs(found)
	}
	return "", errors.New(`envoy not found. run "make tools" or set ENVOY=/path`)
}
