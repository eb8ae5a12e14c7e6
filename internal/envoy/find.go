package envoy

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
	if found := installed(filepath.Join(".tools", "bin", "envoy")); found != "" {
		return found, nil
	}
	if found, err := exec.LookPath("envoy"); err == nil {
		return filepath.Abs(found)
	}
	return "", errors.New(`envoy not found. run "make tools" or set ENVOY=/path`)
}

// FindVersion is the path of an Envoy of that release: $ENVOY, which may be of any, else what `make envoys` installed in the
// working directory or above.
func FindVersion(version string) (string, error) {
	if os.Getenv("ENVOY") != "" {
		return FindEnvoy()
	}
	if found := installed(filepath.Join(".tools", "envoy-"+version, "envoy")); found != "" {
		return found, nil
	}
	return "", errors.New("envoy " + version + ` not found. run "make envoys" or set ENVOY=/path`)
}

// installed is the program at a path below the working directory or a folder above; empty when there is none.
func installed(path string) string {
	dir, err := os.Getwd()
	for err == nil {
		if found, err := exec.LookPath(filepath.Join(dir, path)); err == nil {
			return found
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return ""
}
