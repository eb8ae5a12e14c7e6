package verify

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
)

// proxy is one pod, and what is known of each object there.
type proxy struct {
	Pod      string                `json:"pod"` // namespace/name
	Verdicts []proxystatus.Verdict `json:"objects"`

	pod   corev1.Pod
	wants []proxystatus.Want
}

// report is what was found.
type report struct {
	Environment string   `json:"environment"`
	Looked      string   `json:"looked"` // how
	Proxies     []proxy  `json:"proxies"`
	Unused      []string `json:"unused"` // objects that no pod is to run
}

func (r report) ok() bool {
	good, all := r.count()
	return good == all && len(r.Unused) == 0
}

func (r report) count() (good, all int) {
	for _, p := range r.Proxies {
		all++
		if !slices.ContainsFunc(p.Verdicts, func(v proxystatus.Verdict) bool { return v.State != proxystatus.Running }) {
			good++
		}
	}
	return good, all
}

func (r report) summary() string {
	good, all := r.count()
	text := fmt.Sprintf("%d of %d proxies run what is pinned", good, all)
	if len(r.Unused) > 0 {
		text += ". no proxy is to run " + strings.Join(r.Unused, ", ")
	}
	return text
}

// end prints the report. The summary is the last line, since Argo CD shows that one of a Job.
func (r report) end(format string, stdout, stderr io.Writer) error {
	if err := formats[format](r, stdout); err != nil {
		return err
	}
	text := r.Environment + ": " + r.summary()
	if r.ok() {
		fmt.Fprintln(stderr, "verify:", text)
		return nil
	}
	for _, p := range r.Proxies {
		for _, v := range p.Verdicts {
			if v.State != proxystatus.Running {
				return cli.Finding("%s. %s on %s: %s: %s", text, v.Object, p.Pod, v.State, v.Reason)
			}
		}
	}
	return cli.Finding("%s", text)
}

func (r report) text(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "PROXY\tOBJECT\tSTATE\tREASON")
	for _, p := range r.Proxies {
		for _, v := range p.Verdicts {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Pod, v.Object, v.State, v.Reason)
		}
	}
	for _, o := range r.Unused {
		fmt.Fprintf(table, "-\t%s\tno proxy\tno pod with a proxy is chosen by it\n", o)
	}
	return table.Flush()
}

func (r report) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// junit is the form that CI servers show: a suite for the environment, a case for each object on each proxy.
func (r report) junit(w io.Writer) error {
	type failure struct {
		Message string `xml:"message,attr"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *failure `xml:"failure,omitempty"`
	}
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testcase `xml:"testcase"`
	}{Name: "wasmfleet verify " + r.Environment}
	add := func(class, name, bad string) {
		c := testcase{Class: class, Name: name}
		if bad != "" {
			c.Failure = &failure{bad}
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
		suite.Tests++
	}
	for _, p := range r.Proxies {
		for _, v := range p.Verdicts {
			bad := ""
			if v.State != proxystatus.Running {
				bad = string(v.State) + ": " + v.Reason
			}
			add(p.Pod, v.Object, bad)
		}
	}
	for _, o := range r.Unused {
		add("no proxy", o, "no pod with a proxy is chosen by it")
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
	return err
}

// oneLine is an error of a library in one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
