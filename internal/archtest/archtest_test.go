package archtest

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// load reads the packages of the module.
func load(t *testing.T) []pkg {
	t.Helper()
	seeFolders(t)
	list := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", module+"/...")
	out, err := list.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			t.Fatalf("go list: %v: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var listed struct {
			ImportPath, Dir                                              string
			GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&listed); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		p := pkg{path: strings.TrimPrefix(strings.TrimPrefix(listed.ImportPath, module), "/")}
		for _, name := range slices.Concat(listed.GoFiles, listed.CgoFiles, listed.IgnoredGoFiles, listed.TestGoFiles, listed.XTestGoFiles) {
			p.files = append(p.files, parse(t, filepath.Join(listed.Dir, name)))
		}
		packages = append(packages, p)
	}
}

// seeFolders opens every folder of the module. The go command keeps a test's result for as long as
// the files that it opened are the same, and a new package is a file that nobody has opened yet.
func seeFolders(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, path string) file {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	f := file{name: filepath.Base(path), testFile: strings.HasSuffix(path, "_test.go")}
	f.comment = parsed.Doc != nil && strings.TrimSpace(parsed.Doc.Text()) != ""
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		f.imports = append(f.imports, imported)
	}
	return f
}

func TestLayers(t *testing.T) {
	packages := load(t)
	if len(packages) < len(testOnly) {
		t.Fatalf("found only %d packages", len(packages))
	}
	for _, violation := range check(packages) {
		t.Error(violation)
	}
}

// The rules themselves: each violation is found, and what is allowed passes.
func TestCheck(t *testing.T) {
	source := func(imports ...string) file { return file{name: "a.go", imports: imports, comment: true} }
	test := func(imports ...string) file { return file{name: "a_test.go", imports: imports, testFile: true} }
	own := func(path string) string { return module + "/" + path }
	for _, c := range []struct {
		name  string
		path  string
		files []file
		want  string // part of the only report; "" for none
	}{
		{"a lower layer", "internal/worker", []file{source(own("netio"), own("internal/session"))}, ""},
		{"a higher layer", "internal/session", []file{source(own("internal/worker"))}, "layer 3 imports internal/worker of layer 4"},
		{"the same layer", "netio", []file{source(own("sched"))}, "layer 1 imports sched of layer 1"},
		{"its own entry", "ebpf", []file{source(own("ebpf/steer"))}, ""},
		{"below an entry", "ebpf/steer", []file{source(own("internal/config"))}, "layer 1 imports internal/config"},
		{"a higher layer in a test", "internal/session", []file{source(), test(own("internal/engine"))}, ""},
		{"not in the table", "internal/util", []file{source()}, "is not in the table of layers"},
		{"a name that only begins alike", "netiox", []file{source()}, "is not in the table of layers"},
		{"main on top", "cmd/penstock", []file{source(own("internal/process"), "github.com/urfave/cli/v2")}, ""},
		{"the command line elsewhere", "internal/process", []file{source("github.com/urfave/cli/v2")}, "imports github.com/urfave/cli/v2"},
		{"system calls", "internal/worker", []file{source("golang.org/x/sys/unix")}, "imports golang.org/x/sys/unix"},
		{"system calls where they belong", "netio", []file{source("golang.org/x/sys/unix")}, ""},
		{"system calls in a test", "internal/worker", []file{source(), test("golang.org/x/sys/unix")}, ""},
		{"eBPF elsewhere", "netio", []file{source("github.com/cilium/ebpf/link")}, "imports github.com/cilium/ebpf/link"},
		{"eBPF in a test elsewhere", "netio", []file{source(), test("github.com/cilium/ebpf")}, "imports github.com/cilium/ebpf"},
		{"the demo's server in the balancer", "cmd/penstock", []file{source("github.com/alicebob/miniredis/v2")}, "imports github.com/alicebob/miniredis/v2"},
		{"unsafe", "netio", []file{source("unsafe")}, "imports unsafe"},
		{"unsafe in its file", "netio", []file{source(), {name: "addr_unsafe.go", imports: []string{"unsafe"}}}, ""},
		{"test helpers", "netio", []file{source(own("internal/testutil"))}, "imports internal/testutil, which is for tests"},
		{"test helpers in a test", "netio", []file{source(), test(own("internal/testutil"))}, ""},
		{"test helpers of the code", "internal/testutil", []file{source(own("netio"))}, "a package for tests imports netio"},
		{"the benchmark", "cmd/penstock", []file{source(own("bench"))}, "imports the benchmark"},
		{"no package comment", "netio", []file{{name: "a.go"}}, "0 package comments"},
		{"two package comments", "netio", []file{source(), {name: "b.go", comment: true}}, "2 package comments"},
		{"a comment in a test does not count", "netio", []file{source(), {name: "a_test.go", comment: true, testFile: true}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := check([]pkg{{path: c.path, files: c.files}})
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("reported %q, want nothing", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("reported %q, want one report with %q", got, c.want)
			}
		})
	}
}
