package main

import (
	"cmp"
	"fmt"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// finding is what is wrong at a line of the author's.
type finding struct {
	at   position
	text string // "a filter may not …. remedy [rule]"
}

type position struct {
	file         string
	line, column int
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.at.file, f.at.line, f.at.column, f.text)
}

// findings are an error: all of them, one a line, sorted as a reader goes through the files.
type findings []finding

func (list findings) Error() string { return strings.Join(list.lines(), "\n") }

func (list findings) lines() []string {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.at.file, b.at.file), cmp.Compare(a.at.line, b.at.line),
			cmp.Compare(a.at.column, b.at.column), cmp.Compare(a.text, b.text))
	})
	var lines []string
	for _, f := range sorted {
		lines = append(lines, f.String())
	}
	return slices.Compact(lines)
}

// at is where the token stands.
func (p *program) at(pos token.Pos) position {
	where := p.main.Fset.Position(pos)
	return position{p.relative(where.Filename), where.Line, where.Column}
}

// position reads "file:line:column", as go list writes it; column and line may be missing, and "-" is no position.
func (p *program) position(text string) position {
	parts := strings.Split(text, ":")
	var numbers []int
	for len(parts) > 1 && len(numbers) < 2 {
		n, err := strconv.Atoi(parts[len(parts)-1])
		if err != nil {
			break
		}
		numbers = append([]int{n}, numbers...)
		parts = parts[:len(parts)-1]
	}
	file := strings.Join(parts, ":")
	if file == "-" || file == "" {
		return position{}
	}
	numbers = append(numbers, 1, 1)
	return position{p.relative(file), numbers[0], numbers[1]}
}
