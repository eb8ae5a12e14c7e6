package publish

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress tells how the pushes go: on a terminal a bar over the bytes of all blobs, in a pipe one line for each filter.
type progress struct {
	mu  *sync.Mutex
	out io.Writer
	bar *progressbar.ProgressBar // nil in a pipe
}

func newProgress(out io.Writer) progress {
	p := progress{mu: &sync.Mutex{}, out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(0, progressbar.OptionSetWriter(out), progressbar.OptionShowBytes(true),
			progressbar.OptionSetDescription("publish"), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
	}
	return p
}

// blob counts a blob in when its upload begins; the returned function when it has ended.
func (p progress) blob(_ job, size int) (done func()) {
	if p.bar == nil {
		return func() {}
	}
	p.bar.AddMax(size)
	return func() { _ = p.bar.Add(size) }
}

func (p progress) pushed(j job)    { p.line(j, "pushed and checked") }
func (p progress) signed(j job)    { p.line(j, "signed") }
func (p progress) unchanged(j job) { p.line(j, "is there already") }

func (p progress) line(j job, outcome string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	fmt.Fprintf(p.out, "publish: %s %s\n", j.tag, outcome)
}
