package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/scale.md and its plot are what the figures beside them make.
func TestWritten(t *testing.T) {
	const docs = "../../docs"
	text, err := os.ReadFile(docs + "/scale.md")
	require.NoError(t, err)
	r, err := read(docs)
	require.NoError(t, err)
	_, machine, found := strings.Cut(string(text), "\nMachine: ")
	require.True(t, found)
	r.Machine, _, found = strings.Cut(machine, ", shared with")
	require.True(t, found)
	var markdown, svg bytes.Buffer
	require.NoError(t, r.markdown(&markdown))
	require.Equal(t, string(text), markdown.String(), `write it with "make scale SCALEFLAGS=--write"`)
	require.NoError(t, r.plot(&svg))
	plotted, err := os.ReadFile(docs + "/scale.svg")
	require.NoError(t, err)
	require.Equal(t, string(plotted), svg.String())
}
