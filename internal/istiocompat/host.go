package istiocompat

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
)

//go:generate go run ./hosttable

// What the Envoys said, when they were asked: see hosttable.
//
//go:embed host.txt
var hostTable string

// Function is a function that Envoys give to a module, or that they look for in it.
type Function struct {
	Module, Name string
	Signature    string   // such as "i32 i32 -> i32"
	ABIs         []string // of proxy-wasm, for which it holds
	Envoys       []string // minors
}

var imports, exports, abis = parseHost(hostTable)

func parseHost(text string) (imports, exports map[string][]Function, abis map[string][]string) {
	imports, exports, abis = map[string][]Function{}, map[string][]Function{}, map[string][]string{}
	for line := range strings.Lines(text) {
		parts := strings.Split(strings.TrimSpace(line), " | ")
		if len(parts) < 5 {
			continue // the header
		}
		f := Function{Module: parts[1], Name: parts[2], ABIs: strings.Split(parts[3], ","), Envoys: strings.Split(parts[4], ",")}
		if len(parts) > 5 {
			f.Signature = parts[5]
		}
		switch parts[0] {
		case "import":
			imports[f.Module+"."+f.Name] = append(imports[f.Module+"."+f.Name], f)
		case "export":
			exports[f.Name] = append(exports[f.Name], f)
		case "abi":
			abis[f.Name] = append(abis[f.Name], f.Envoys...)
		}
	}
	return imports, exports, abis
}

// Import is what that Envoy minor gives under this name to a module of that ABI; false when it gives nothing.
func Import(module, name, abi, envoy string) (Function, bool) {
	return find(imports[module+"."+name], abi, envoy)
}

// Export is what that Envoy minor looks for under this name in a module of that ABI; false when it does not look.
func Export(name, abi, envoy string) (Function, bool) { return find(exports[name], abi, envoy) }

func find(all []Function, abi, envoy string) (Function, bool) {
	for _, f := range all {
		if slices.Contains(f.ABIs, abi) && slices.Contains(f.Envoys, envoy) {
			return f, true
		}
	}
	return Function{}, false
}

// ABIs are the Envoy minors that load modules of that ABI of proxy-wasm.
func ABIs(abi string) []string { return abis[abi] }

// EnvoyMinors are the minors of TestedEnvoys.
func EnvoyMinors() []string {
	var all []string
	for _, version := range TestedEnvoys() {
		parts := strings.SplitN(version, ".", 3)
		all = append(all, parts[0]+"."+parts[1])
	}
	return all
}

// EnvoysFrom are the Envoy minors of the Istio minors that a bound such as ">=1.29" allows, and the next one; all when it is empty.
func EnvoysFrom(bound string) []string {
	all := EnvoyMinors()
	for i, istio := range Minors() {
		if bound == ">="+istio {
			return all[i:]
		}
	}
	return all
}

// Functions are those of a kind, "import" or "export", once each, with the signature that the table has first, sorted.
func Functions(kind string) []Function {
	table := imports
	if kind == "export" {
		table = exports
	}
	var all []Function
	for _, name := range slices.Sorted(maps.Keys(table)) {
		all = append(all, table[name][0])
	}
	return all
}
