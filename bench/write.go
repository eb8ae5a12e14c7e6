package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// write leaves the report in dir: the text, the plot and the rounds that both are made of.
func write(dir string, r report, rounds []round) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := []struct {
		name    string
		content func(io.Writer) error
	}{
		{"benchmarks.md", r.markdown},
		{"benchmarks.svg", r.plot},
		{"benchmarks.csv", func(w io.Writer) error { return writeRounds(w, r, rounds) }},
	}
	for _, f := range files {
		var b bytes.Buffer
		if err := f.content(&b); err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeRounds is a line a round, a column a peer: CPU time per request through the whole chain, in microseconds.
func writeRounds(w io.Writer, r report, rounds []round) error {
	names := []string{nothing, nothingAgain}
	for _, x := range r.Rows {
		names = append(names, x.Peer)
	}
	c := csv.NewWriter(w)
	_ = c.Write(names) // Error has it
	for _, measured := range rounds {
		line := make([]string, len(names))
		for i, name := range names {
			line[i] = strconv.FormatFloat(measured[name], 'f', 3, 64)
		}
		_ = c.Write(line)
	}
	c.Flush()
	return c.Error()
}
