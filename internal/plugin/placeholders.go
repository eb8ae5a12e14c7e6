package plugin

import (
	"os"

	extensions "istio.io/api/extensions/v1alpha1"
)

// Placeholders are the variables that plugins want from the environment of the proxy and that ours has not, as NAME=placeholder: on
// this machine nobody has the Secrets of a cluster.
func Placeholders(plugins ...*Plugin) []string {
	var env []string
	for _, p := range plugins {
		for _, v := range p.Spec.GetVmConfig().GetEnv() {
			if _, ok := os.LookupEnv(v.Name); !ok && v.ValueFrom == extensions.EnvValueSource_HOST {
				env = append(env, v.Name+"=placeholder")
			}
		}
	}
	return env
}
