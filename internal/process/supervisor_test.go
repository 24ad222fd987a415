package process

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSupervisor(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@penstock-notify-%d", os.Getpid())} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		s, err := FindSupervisor(name)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err = s.Tell("READY=1", "STATUS=Ready."); err != nil {
			t.Fatal(err)
		}
		if err = manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var buf [100]byte
		n, err := manager.Read(buf[:])
		if diff := cmp.Diff("READY=1\nSTATUS=Ready.\n", string(buf[:n])); diff != "" || err != nil {
			t.Errorf("%v: %s", err, diff)
		}
		manager.Close()
		if err = s.Tell("STOPPING=1"); err == nil {
			t.Error("no error when the service manager is gone")
		}
	}
}

func TestNoSupervisor(t *testing.T) {
	s, err := FindSupervisor("")
	if s != nil || err != nil {
		t.Fatalf("found %v, %v", s, err)
	}
	if err = s.Tell("READY=1"); err != nil {
		t.Error(err)
	}
	s.Close()
	if _, err = FindSupervisor(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("no error for a socket that is not there")
	}
}
