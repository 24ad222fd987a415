package steer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
)

// readSums returns what the generator wrote down: the version of clang, and the sum of each file.
func readSums(t *testing.T) (version string, sums map[string]string) {
	t.Helper()
	text, err := os.ReadFile("generated.sum")
	if err != nil {
		t.Fatal(err)
	}
	sums = map[string]string{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] == "#" {
			version = words[2]
			continue
		}
		sums[words[1]] = words[0]
	}
	return version, sums
}

// What is committed was made from the source that is committed, and by nobody's hand.
func TestGeneratedFromSource(t *testing.T) {
	_, sums := readSums(t)
	names, err := filepath.Glob("program_bpf*")
	if err != nil || len(names) != 4 {
		t.Fatalf("generated files: %v, %v", names, err)
	}
	for _, name := range append(names, "steer.c", "kernel.h") {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != sums[name] {
			t.Errorf("%s has changed since the program was generated: make generate", name)
		}
	}
}

// The same source and compiler give the same bytes.
func TestGenerate(t *testing.T) {
	clang := testutil.Need(t, "clang")
	testutil.Need(t, "llvm-strip")
	version, sums := readSums(t)
	out, err := exec.Command(clang, "-dumpversion").Output()
	if err != nil {
		t.Fatal(err)
	}
	if major, _, _ := strings.Cut(strings.TrimSpace(string(out)), "."); major != version {
		t.Skipf("the objects come from clang %s, installed is %s", version, major)
	}
	dir := t.TempDir()
	testutil.Run(t, 0, exec.Command("../../scripts/generate-bpf", dir))
	for name := range sums {
		if !strings.HasPrefix(name, "program_") {
			continue
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what clang makes of the source: make generate", name)
		}
	}
}
