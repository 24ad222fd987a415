package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The test program plays the processes under test: started again with a role, it does what the role
// says instead of running tests.
const roleVariable = "PROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	name, arg, _ := strings.Cut(role, " ")
	switch name {
	case "die":
		n, _ := strconv.Atoi(arg)
		s := Watch()
		unix.Kill(os.Getpid(), unix.Signal(n))
		req := <-s.C
		DieBy(req.Signal)
	case "ignore":
		s := Watch()
		unix.Kill(os.Getpid(), unix.SIGINT)
		unix.Kill(os.Getpid(), unix.SIGTERM)
		if req := <-s.C; req.Signal != unix.SIGTERM {
			os.Exit(1)
		}
		os.Exit(0)
	case "assume":
		playAssume(arg)
	case "detach":
		playDetach(arg)
	case "worker":
		playWorker(arg)
	case "replace":
		playReplace(arg)
	}
	os.Exit(99)
}

// role prepares the test program in a role.
func role(tb testing.TB, text string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+text)
	return cmd
}

// playAssume prints the ids that every one of some threads has after the change.
func playAssume(root string) {
	const threads = 4
	start, ids := make(chan struct{}), make(chan string, threads)
	for range threads {
		ready := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(ready)
			<-start
			groups, _ := unix.Getgroups()
			ids <- fmt.Sprint(unix.Getuid(), unix.Getgid(), len(groups))
		}()
		<-ready
	}
	if warning, err := (Identity{Chroot: root, UID: 65534, GID: 65533}).Assume(); err != nil || warning != nil {
		fmt.Println(warning, err)
		os.Exit(3)
	}
	close(start)
	for range threads {
		fmt.Println(<-ids)
	}
	dir, err := os.ReadDir("/")
	fmt.Println(len(dir), err)
	os.Exit(0)
}

// playDetach is the foreground process first, then the background one.
func playDetach(arg string) {
	background, err := Background()
	if err != nil {
		fmt.Println(err)
		os.Exit(98)
	}
	if background == nil {
		code, err := Detach(nil, "", os.Environ())
		if err != nil {
			fmt.Println(err)
			os.Exit(98)
		}
		os.Exit(code)
	}
	fmt.Println("session leader:", mustSession() == os.Getpid())
	switch arg {
	case "fail":
		os.Exit(7)
	case "killed":
		unix.Kill(os.Getpid(), unix.SIGKILL)
	default:
		// The file named by arg is written by the background process only after the foreground one was let go.
		if err := background.Ready(); err != nil {
			fmt.Println(err)
			os.Exit(98)
		}
		fmt.Println("nobody reads this")
		target, _ := os.Readlink("/proc/self/fd/1")
		os.WriteFile(arg, []byte(target), 0o600)
	}
	os.Exit(0)
}

func mustSession() int {
	id, err := unix.Getsid(0)
	if err != nil {
		panic(err)
	}
	return id
}
