package e2e

import (
	"io"
	"net"
	"time"

	"github.com/penstock/penstock/internal/testutil"
)

// askThenFIN sends a request and at once the end of stream, and returns all that comes back. It
// may run in any goroutine.
func askThenFIN(port int, request string) (string, error) {
	c, err := net.DialTimeout("tcp", testutil.Loopback(port), testutil.Deadline)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testutil.Deadline))
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}
