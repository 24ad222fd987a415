package testutil

import (
	"io"
	"net"
	"testing"
	"time"
)

// Ask sends one line to the UNIX socket of a command line, as socat does, and returns the answer. It is "" while
// nobody listens there; one that is cut off is returned as far as it came.
func Ask(tb testing.TB, path, line string) string {
	tb.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		return ""
	}
	defer conn.Close()
	if err = conn.SetDeadline(time.Now().Add(Deadline)); err != nil {
		tb.Fatal(err)
	}
	if _, err = io.WriteString(conn, line+"\n"); err != nil {
		return ""
	}
	if err = conn.(*net.UnixConn).CloseWrite(); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}
