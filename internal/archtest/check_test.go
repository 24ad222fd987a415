package archtest

import (
	"fmt"
	"slices"
	"strings"
)

const module = "github.com/penstock/penstock"

// layers is the table: a package imports only packages of lower layers. A path covers the packages
// below it. Inside one entry (ebpf/steer by ebpf) imports are free.
var layers = map[string]int{
	"netio":               1,
	"sched":               1,
	"ebpf":                1,
	"internal/config":     1,
	"internal/balance":    1,
	"internal/proxyproto": 1,
	"internal/statefile":  1,
	"internal/top":        1,
	"internal/backend":    2,
	"internal/rules":      2,
	"internal/logging":    2,
	"internal/stats":      2,
	"internal/resolvers":  2,
	"internal/session":    3,
	"internal/check":      3,
	"internal/worker":     4,
	"internal/engine":     5,
	"internal/runtimeapi": 5,
	"internal/handover":   5,
	"internal/process":    6,
	"internal/admin":      6,
	"internal/web":        6,
	"internal/master":     7,
	"cmd":                 8, // every main is on top
}

// testOnly are the packages that exist for tests: they stand outside the layers, and only tests
// import them.
var testOnly = []string{"internal/testutil", "internal/e2e", "internal/archtest"}

// restricted are imports that only some packages may make. Tests may make them all, unless strict.
var restricted = []struct {
	path    string
	allowed []string
	strict  bool
}{
	{"golang.org/x/sys/unix", []string{"netio", "ebpf", "internal/process"}, false},
	{"github.com/cilium/ebpf", []string{"ebpf"}, true},
	{"github.com/urfave/cli", []string{"cmd"}, true},
	{"github.com/alicebob/miniredis", []string{"cmd/penstock-demo"}, false},
	{"github.com/gomodule/redigo", []string{"cmd/penstock-demo"}, false},
	{"github.com/go-sql-driver/mysql", nil, false},
	{"github.com/prometheus", nil, false},
	{"go.uber.org/goleak", []string{"internal/testutil"}, false},
}

// pkg is what the rules look at.
type pkg struct {
	path  string // below the module; "" is the root
	files []file
}

type file struct {
	name     string
	imports  []string
	comment  bool // the package clause has a comment
	testFile bool
}

// below tells whether path is dir or lies in it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func anyBelow(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return below(path, dir) })
}

// entryOf returns the entry of the layer table that covers path.
func entryOf(path string) (entry string, layer int, ok bool) {
	for entry, layer := range layers {
		if below(path, entry) {
			return entry, layer, true
		}
	}
	return "", 0, false
}

// check returns every violation of the rules.
func check(packages []pkg) []string {
	var found []string
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, p := range packages {
		entry, layer, layered := entryOf(p.path)
		isTestOnly := anyBelow(p.path, testOnly)
		if !layered && !isTestOnly && p.path != "" {
			report("%s: is not in the table of layers", p.path)
		}
		comments := 0
		for _, f := range p.files {
			if f.comment && !f.testFile {
				comments++
			}
			for _, imported := range f.imports {
				if imported == "unsafe" && !f.testFile && !strings.HasSuffix(f.name, "_unsafe.go") {
					report("%s/%s: imports unsafe, which only files named *_unsafe.go may", p.path, f.name)
				}
				for _, r := range restricted {
					inTest := f.testFile || isTestOnly
					if below(imported, r.path) && !anyBelow(p.path, r.allowed) && (r.strict || !inTest) {
						report("%s/%s: imports %s, which only %v may", p.path, f.name, imported, r.allowed)
					}
				}
				own, isOwn := strings.CutPrefix(imported, module+"/")
				if !isOwn || f.testFile {
					continue
				}
				if anyBelow(own, testOnly) && !isTestOnly {
					report("%s/%s: imports %s, which is for tests", p.path, f.name, own)
				}
				if below(own, "bench") {
					report("%s/%s: imports the benchmark", p.path, f.name)
				}
				importedEntry, importedLayer, ok := entryOf(own)
				if layered && ok && importedEntry != entry && importedLayer >= layer {
					report("%s/%s: layer %d imports %s of layer %d", p.path, f.name, layer, own, importedLayer)
				}
				if isTestOnly && ok {
					report("%s/%s: a package for tests imports %s", p.path, f.name, own)
				}
			}
		}
		if hasSource := slices.ContainsFunc(p.files, func(f file) bool { return !f.testFile }); hasSource && comments != 1 {
			report("%s: %d package comments, want exactly one", p.path, comments)
		}
	}
	return found
}
