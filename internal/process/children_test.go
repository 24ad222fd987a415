package process

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestChildren(t *testing.T) {
	child := exec.Command("cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if got := Children(os.Getpid()); !slices.Contains(got, child.Process.Pid) {
		t.Errorf("children %v, want %d among them", got, child.Process.Pid)
	}
	in.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := Children(os.Getpid()); slices.Contains(got, child.Process.Pid) {
		t.Errorf("children %v, %d has ended", got, child.Process.Pid)
	}
}

func TestParentIn(t *testing.T) {
	for _, test := range []struct {
		stat string
		want int
	}{
		{"7 (a b) S 3 7 7 0 -1", 3},
		{"7 (a) S 9 (b) S 4 7", 4},
		{"7 (a) S", 0},
		{"", 0},
		{") S x", 0},
	} {
		if got := parentIn(test.stat); got != test.want {
			t.Errorf("parent in %q: %d, want %d", test.stat, got, test.want)
		}
	}
}

func FuzzParentIn(f *testing.F) {
	f.Add("7 (a b) S 3 7 7 0 -1")
	f.Fuzz(func(_ *testing.T, stat string) { parentIn(stat) })
}
