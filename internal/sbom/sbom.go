// Package sbom lists what is compiled into a filter's module, as CycloneDX.
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
	bom := cdx.NewBOM()
	bom.SerialNumber = ""
	bom.Metadata = &cdx.Metadata{Component: &subject}
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
	bom.Components = &components
	depends := []string{}
	for _, c := range components {
		depends = append(depends, c.BOMRef)
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: subject.BOMRef, Dependencies: &depends}}
	var out bytes.Buffer
	enc := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON)
	enc.SetPretty(true)
	err = enc.EncodeVersion(bom, cdx.SpecVersion1_6) // which more tools read than the latest
	return out.Bytes(), err
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
		purl := "pkg:golang/" + owner.Path + "@" + owner.Version
		c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: owner.Path, Version: owner.Version, PackageURL: purl}
		if id := license(owner.Dir); id != "" {
			c.Licenses = &cdx.Licenses{{License: &cdx.License{ID: id}}}
		} else {
			c.Licenses = &cdx.Licenses{{License: &cdx.License{Name: "NOASSERTION"}}}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	return all, nil
}

// licenses are sentences that only one licence has; what has none of them is said to be unknown.
var licenses = []struct{ id, sentence string }{
	{"Apache-2.0", "Apache License Version 2.0, January 2004"},
	{"BSD-3-Clause", "Neither the name of"},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms, with or without modification"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"MPL-2.0", "Mozilla Public License Version 2.0"},
}

// license is the SPDX identifier of the licence in a module's folder; empty when it is not known.
func license(dir string) string {
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
