// Package sbom lists what is compiled into a filter's module, or into the tools, as CycloneDX.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
)

// goModule is what go list says of a module.
type goModule struct {
	Path, Version, Dir string
	Main               bool
	Replace            *goModule
}

// Of is the bill of materials of a filter: its module, the Go modules that own a package in it, as module.yaml has them, and Go's standard
// library with TinyGo's. The bytes are a function of the module, module.yaml and go.mod: no time, no serial number, sorted.
func Of(root string, filter catalog.Filter, module []byte) ([]byte, error) {
	built, err := catalog.ReadModule(filter.Dir)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(module)
	subject := cdx.Component{
		BOMRef: "module", Type: cdx.ComponentTypeApplication, Name: filter.Name, Description: filter.Title, MIMEType: "application/wasm",
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
	}
	if filter.Licenses != "" {
		subject.Licenses = &cdx.Licenses{{Expression: filter.Licenses}}
	}
	components := []cdx.Component{}
	if len(built.Packages) > 0 {
		modules, err := modulesOf(root)
		if err != nil {
			return nil, err
		}
		if components, err = owners(modules, built.Packages); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(filter.Dir, catalog.ModuleFile), err)
		}
		components = append(components, cdx.Component{
			BOMRef: "std", Type: cdx.ComponentTypeLibrary, Name: "std", Description: "Go's standard library with TinyGo's runtime and replacements, and wasi-libc",
			Licenses: &cdx.Licenses{{License: &cdx.License{ID: "BSD-3-Clause"}}, {License: &cdx.License{ID: "MIT"}}},
		})
	}
	return encode(subject, components)
}

// Program is the bill of materials of a Go program, as its build information has it, with Go's standard library. The bytes are a function of
// the program and of the modules' licences, which are read where go.mod is.
func Program(root string, info *debug.BuildInfo, program []byte) ([]byte, error) {
	modules, err := modulesOf(root)
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for _, m := range modules {
		dirs[m.Path+"@"+m.Version] = m.Dir
	}
	sum := sha256.Sum256(program)
	subject := cdx.Component{
		BOMRef: "program", Type: cdx.ComponentTypeApplication, Name: info.Path,
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
	}
	if info.Main.Version != "(devel)" {
		subject.Version = info.Main.Version
	}
	var components []cdx.Component
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, component(m.Path, m.Version, dirs[m.Path+"@"+m.Version]))
	}
	sortByRef(components)
	version := strings.TrimPrefix(info.GoVersion, "go")
	return encode(subject, append(components, cdx.Component{
		BOMRef: "std", Type: cdx.ComponentTypeLibrary, Name: "std", Version: version, Description: "Go's standard library",
		PackageURL: "pkg:golang/std@" + version, Licenses: &cdx.Licenses{{License: &cdx.License{ID: "BSD-3-Clause"}}},
	}))
}

// encode writes the bill of a subject and of what it is made of: no time, no serial number.
func encode(subject cdx.Component, components []cdx.Component) ([]byte, error) {
	bom := cdx.NewBOM()
	bom.SerialNumber = ""
	bom.Metadata = &cdx.Metadata{Component: &subject}
	bom.Components = &components
	depends := []string{}
	for _, c := range components {
		depends = append(depends, c.BOMRef)
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: subject.BOMRef, Dependencies: &depends}}
	var out bytes.Buffer
	enc := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON)
	enc.SetPretty(true)
	err := enc.EncodeVersion(bom, cdx.SpecVersion1_6) // which more tools read than the latest
	return out.Bytes(), err
}

// component is a Go module, with the licence in its folder.
func component(path, version, dir string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl}
	if id := license(dir); id != "" {
		c.Licenses = &cdx.Licenses{{License: &cdx.License{ID: id}}}
	} else {
		c.Licenses = &cdx.Licenses{{License: &cdx.License{Name: "NOASSERTION"}}}
	}
	return c
}

func sortByRef(components []cdx.Component) {
	slices.SortFunc(components, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
}

// modulesOf are those of the repository's go.mod.
func modulesOf(root string) (all []goModule, err error) {
	cmd := exec.Command("go", "list", "-m", "-json", "all")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing modules: %w: %s", err, &stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m goModule
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
}

// owners are the modules that own a package, each once, by path. A package of the repository itself is the filter.
func owners(modules []goModule, packages []string) (all []cdx.Component, err error) {
	seen := map[string]bool{}
	for _, p := range packages {
		path, version, _ := strings.Cut(p, " ")
		var owner *goModule
		for i, m := range modules {
			if (path == m.Path || strings.HasPrefix(path, m.Path+"/")) && (owner == nil || len(m.Path) > len(owner.Path)) {
				owner = &modules[i]
			}
		}
		switch {
		case owner == nil:
			return nil, fmt.Errorf("package %s is in no module of go.mod. run make build", path)
		case owner.Main || seen[owner.Path]:
			continue
		case version != owner.Version:
			return nil, fmt.Errorf("package %s is of %s, and go.mod has %s. run make build", path, version, owner.Version)
		}
		seen[owner.Path] = true
		all = append(all, component(owner.Path, owner.Version, owner.Dir))
	}
	sortByRef(all)
	return all, nil
}

// licenses are sentences that only one licence has, as its holders write them; what has none of them is said to be unknown.
var licenses = []struct{ id, sentence string }{
	{"Apache-2.0", "Apache License Version 2.0, January 2004"},
	{"BSD-3-Clause", "Neither the name of"},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms, with or without modification"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"MPL-2.0", "Mozilla Public License Version 2.0"},
	{"MPL-2.0", "Mozilla Public License, version 2.0"},
}

// license is the SPDX identifier of the licence in a module's folder; empty when it is not known.
func license(dir string) string {
	if dir == "" {
		return "" // not this folder's
	}
	files, _ := filepath.Glob(filepath.Join(dir, "LICEN[CS]E*"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		words := strings.Join(strings.Fields(string(text)), " ")
		for _, l := range licenses {
			if strings.Contains(words, l.sentence) {
				return l.id
			}
		}
	}
	return ""
}
