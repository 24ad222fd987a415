package handover

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/penstock/penstock/internal/testutil"
	"github.com/penstock/penstock/netio"
)

// nobodyID is a user that is neither root nor the one who runs the tests.
const nobodyID = 65534

// playStranger asks for a handover and tells what it heard.
func playStranger() {
	pid, _ := strconv.Atoi(os.Getenv(argVariable))
	_, err := Dial(pid, true)
	fmt.Println(err)
	_, err = Status(pid)
	fmt.Println(err)
	os.Exit(0)
}

// playImpostor holds a name until its input ends.
func playImpostor() {
	pid := os.Getpid()
	if arg := os.Getenv(argVariable); arg != "" {
		pid, _ = strconv.Atoi(arg)
	}
	l, err := netio.ListenAbstract(socketName(pid))
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
	fmt.Println("holds the name")
	io.Copy(io.Discard, os.Stdin)
	l.Close()
	os.Exit(0)
}

// strangerCommand prepares the test program as another user.
func strangerCommand(role, arg string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role, argVariable+"="+arg)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
	return cmd
}

func TestPrivGiverRefusesOtherUsers(t *testing.T) {
	testutil.NeedRoot(t)
	k := newKeeper(nil)
	giver, err := Serve(k.offer(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer giver.Close()
	said, _ := testutil.Run(t, 0, strangerCommand("stranger", strconv.Itoa(os.Getpid())))
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if len(lines) != 2 {
		t.Fatalf("said %q", said)
	}
	for _, line := range lines {
		if !strings.Contains(line, "user 65534 is neither root nor the user of this process") {
			t.Errorf("%q", line)
		}
	}
}

// A name that another user holds is not trusted, nor one that another process of any user holds.
func TestPrivTakerRefusesImpostors(t *testing.T) {
	testutil.NeedRoot(t)
	for _, tc := range []struct {
		name string
		cmd  func() *exec.Cmd
		pid  func(child int) int
	}{
		{"another user", func() *exec.Cmd { return strangerCommand("impostor", "") }, func(child int) int { return child }},
		{"another process", func() *exec.Cmd {
			cmd := strangerCommand("impostor", strconv.Itoa(os.Getpid()))
			cmd.SysProcAttr = nil
			return cmd
		}, func(int) int { return os.Getpid() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := tc.cmd()
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p := testutil.Start(t, cmd)
			p.Stdout.Wait(t, "holds the name")
			if _, err := Dial(tc.pid(p.Pid), true); err == nil || !strings.Contains(err.Error(), "which is not trusted") {
				t.Errorf("dial: %v", err)
			}
			if _, err := Status(tc.pid(p.Pid)); err == nil || !strings.Contains(err.Error(), "which is not trusted") {
				t.Errorf("status: %v", err)
			}
			in.Close()
			p.WaitCode(t, 0)
		})
	}
}
