package cli

import (
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Progress shows on a terminal that something goes on, and is silent in a pipe.
type Progress struct {
	bar *progressbar.ProgressBar // nil in a pipe
}

// NewProgress is a progress on out.
func NewProgress(out io.Writer) Progress {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return Progress{}
	}
	return Progress{progressbar.NewOptions(-1, progressbar.OptionSetWriter(out), progressbar.OptionClearOnFinish(), progressbar.OptionSpinnerType(14))}
}

// Step says what comes next.
func (p Progress) Step(what string) {
	if p.bar != nil {
		p.bar.Describe(what)
		_ = p.bar.Add(1)
	}
}

// End takes it off the terminal. It may be called twice.
func (p Progress) End() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
