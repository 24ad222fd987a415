package engine

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// childVariable makes the test binary the process that runs out of descriptors: "SOCKET SERVER".
const childVariable = "PENSTOCK_TEST_STARVE"

// Out of descriptors: the process lives, says so, serves whom it has, and accepts again afterwards.
// Clients and server are here, so that the balancer is the only one that lacks descriptors.
func TestOutOfDescriptors(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := testutil.Serve(t, testutil.Echo)
	path := filepath.Join(testutil.TempDir(t), "starve")
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+path+" "+server.Addr)
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { orders.Close() })
	p := testutil.Start(t, cmd)
	p.Stdout.Wait(t, `ready`)
	held := testutil.Dial(t, "unix", path)
	held.Send("x")
	held.Expect("x")
	fmt.Fprintln(orders, "starve")
	p.Stdout.Wait(t, `starved`)
	var clients []*testutil.Conn
	for range 100 {
		clients = append(clients, testutil.Dial(t, "unix", path)) // in the accept queue it is connected
	}
	p.Stderr.Wait(t, `reached process FD limit`)
	held.Send("y")
	held.Expect("y")
	for _, c := range clients {
		c.Close()
	}
	fmt.Fprintln(orders, "recover")
	testutil.Eventually(t, "new clients are served", func() bool { return echoesOn("unix", path) })
	held.Send("z")
	held.Expect("z")
	orders.Close()
	p.WaitCode(t, 0)
}

// starve is that process. It obeys lines on its standard input, whose end is its own.
func starve(socket, server string) int {
	e, err := build(fmt.Sprintf(`
global
    nbthread 2
    maxconn 1000
listen l
    bind unix@%s
    retries 0
    server s1 %s
`, socket, server), os.Stderr)
	if err != nil {
		return 3
	}
	e.Start()
	defer e.Close()
	fmt.Println("ready")
	orders := bufio.NewReader(os.Stdin)
	if _, err := orders.ReadString('\n'); err != nil {
		return 4
	}
	var taken []*os.File
	take := func() {
		for {
			f, err := os.Open(os.DevNull)
			if err != nil {
				return
			}
			taken = append(taken, f)
		}
	}
	limit := syscall.Rlimit{Cur: 60, Max: 60}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 5
	}
	take()
	fmt.Println("starved")
	for e.complaints.Load() == 0 {
		time.Sleep(time.Millisecond)
		take() // one that was in use for a moment
	}
	if _, err := orders.ReadString('\n'); err != nil {
		return 6
	}
	for _, f := range taken {
		f.Close()
	}
	if _, err := orders.ReadString('\n'); err != io.EOF {
		return 7
	}
	return 0
}
