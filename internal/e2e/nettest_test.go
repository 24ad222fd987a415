package e2e

import (
	"net"
	"sync"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/penstock/penstock/internal/testutil"
)

// What goes through the program behaves as a plain connection does.
func TestNettestConn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, options string }{
		{"default", ""},
		{"splice forced", "option splice-request\n    option splice-response"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			port := testutil.FreePort(t)
			server, err := net.Listen("tcp", testutil.Loopback(testutil.FreePort(t)))
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			start(t, text(`
global
    nbthread 2
listen l
    bind 127.0.0.1:{port}
    {options}
    server s1 {s1}
`, "options", test.options), "port", port, "s1", server.Addr())
			var pairing sync.Mutex // the next accepted connection is the one just dialled
			nettest.TestConn(t, func() (client, remote net.Conn, stop func(), err error) {
				pairing.Lock()
				defer pairing.Unlock()
				client, err = net.Dial("tcp", testutil.Loopback(port))
				if err != nil {
					return nil, nil, nil, err
				}
				remote, err = server.Accept()
				if err != nil {
					client.Close()
					return nil, nil, nil, err
				}
				return client, remote, func() { client.Close(); remote.Close() }, nil
			})
		})
	}
}
