package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// mustServe listens on a UNIX path and gives the first connection to handle, which has ended when the test ends.
func mustServe(tb testing.TB, handle func(*net.UnixConn)) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		handle(conn.(*net.UnixConn))
	}()
	tb.Cleanup(func() { l.Close(); <-done })
	return path
}

// serveSockets reads the command and answers as a stats socket does.
func serveSockets(sockets []PassedSocket) func(*net.UnixConn) {
	return func(conn *net.UnixConn) {
		readCommand(conn)
		_ = SendSockets(conn, sockets)
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}
}

func readCommand(conn *net.UnixConn) {
	_, _ = io.ReadFull(conn, make([]byte, len(getSocksCommand)))
}

// mustSockets opens descriptors that can be told apart, with names.
func mustSockets(tb testing.TB, n int) []PassedSocket {
	tb.Helper()
	var sockets []PassedSocket
	for i := range n {
		fd, err := unix.MemfdCreate(fmt.Sprintf("socket-%d", i), unix.MFD_CLOEXEC)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { unix.Close(fd) })
		s := PassedSocket{FD: fd}
		switch i % 4 {
		case 1:
			s.Interface = "lo"
		case 2:
			s.Netns, s.Interface = "blue", "eth0"
		case 3:
			s.Netns = strings.Repeat("n", 255)
		}
		sockets = append(sockets, s)
	}
	return sockets
}

func closeSockets(sockets []PassedSocket) {
	for _, s := range sockets {
		unix.Close(s.FD)
	}
}

// checkDescriptors fails the test when it leaves descriptors behind.
func checkDescriptors(tb testing.TB) {
	tb.Helper()
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			tb.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	tb.Cleanup(func() {
		if after := count(); after > before {
			tb.Errorf("%d descriptors before, %d after", before, after)
		}
	})
}

func TestFetchSockets(t *testing.T) {
	for _, n := range []int{0, 1, 251, 252, 253, 600} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			checkDescriptors(t)
			sent := mustSockets(t, n)
			path := mustServe(t, serveSockets(sent))
			got, err := FetchSockets(path)
			if n == 0 {
				if err == nil {
					t.Error("nothing was sent, and that is no error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeSockets(got)
			if diff := cmp.Diff(sent, got, cmpopts.IgnoreFields(PassedSocket{}, "FD")); diff != "" {
				t.Errorf("sockets (-sent, +received):\n%s", diff)
			}
			for i, s := range got {
				name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", s.FD))
				if want := fmt.Sprintf("/memfd:socket-%d (deleted)", i); err != nil || name != want {
					t.Fatalf("descriptor %d is %q (%v), want %q", i, name, err, want)
				}
				if flags, err := unix.FcntlInt(uintptr(s.FD), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
					t.Fatalf("descriptor %d stays open in children", i)
				}
			}
		})
	}
}

// The other process gets one end of a new connection over the socket pair.
func TestFetchSocketsByPair(t *testing.T) {
	checkDescriptors(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	sent := mustSockets(t, 3)
	done := make(chan error, 1)
	go func() {
		defer unix.Close(pair[1])
		var data [8]byte
		control := make([]byte, unix.CmsgSpace(4))
		n, controls, _, _, err := unix.Recvmsg(pair[1], data[:], control, unix.MSG_CMSG_CLOEXEC)
		fds := rights(control[:controls])
		if err != nil || n != 2 || len(fds) != 1 {
			done <- fmt.Errorf("received %d bytes and descriptors %v: %w", n, fds, err)
			return
		}
		file := os.NewFile(uintptr(fds[0]), "pair")
		conn, err := net.FileConn(file)
		file.Close()
		if err == nil {
			serveSockets(sent)(conn.(*net.UnixConn))
			conn.Close()
		}
		done <- err
	}()
	got, err := FetchSockets(fmt.Sprintf("sockpair@%d", pair[0]))
	if err != nil {
		t.Fatal(err)
	}
	closeSockets(got)
	if len(got) != 3 {
		t.Errorf("%d sockets", len(got))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFetchSocketsFails(t *testing.T) {
	int32s := func(values ...int32) []byte {
		var b []byte
		for _, v := range values {
			b = binary.NativeEndian.AppendUint32(b, uint32(v))
		}
		return b
	}
	entry := make([]byte, 6)
	for _, test := range []struct {
		name   string
		answer func(*net.UnixConn)
		want   string
	}{
		{"nothing", func(*net.UnixConn) {}, "Failed to get the number of sockets to be transferred !"},
		{"text", func(c *net.UnixConn) { io.WriteString(c, "Unknown command: '_getsocks'") }, "Failed to get the number of sockets to be transferred !"},
		{"negative", func(c *net.UnixConn) { c.Write(int32s(-1)) }, "Failed to get the number of sockets to be transferred !"},
		{"count only", func(c *net.UnixConn) { c.Write(int32s(2)) }, "We didn't get the expected number of sockets (expecting 2 got 0)"},
		{"silence", func(c *net.UnixConn) { c.Write(int32s(2)); io.Copy(io.Discard, c) }, "We didn't get the expected number of sockets (expecting 2 got 0)"},
		{"too few", func(c *net.UnixConn) {
			c.Write(int32s(2))
			c.WriteMsgUnix(entry, unix.UnixRights(0), nil)
		}, "We didn't get the expected number of sockets (expecting 2 got 1)"},
		{"too many", func(c *net.UnixConn) {
			c.Write(int32s(1))
			c.WriteMsgUnix(entry, unix.UnixRights(0, 1), nil)
		}, "Got to many sockets !"},
		{"entry cut off", func(c *net.UnixConn) {
			c.Write(int32s(1))
			c.WriteMsgUnix([]byte{200, 1, 2}, unix.UnixRights(0), nil)
		}, "We didn't get the expected number of sockets (expecting 1 got 1)"},
		{"more than entries", func(c *net.UnixConn) {
			c.Write(int32s(1))
			c.WriteMsgUnix(append(entry, 1, 2, 3), unix.UnixRights(0), nil)
		}, "Inconsistency while transferring sockets"},
		{"bytes without end", func(c *net.UnixConn) {
			c.Write(int32s(1))
			c.Write(bytes.Repeat([]byte{255}, 1000))
		}, "Inconsistency while transferring sockets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkDescriptors(t)
			path := mustServe(t, func(conn *net.UnixConn) {
				readCommand(conn)
				test.answer(conn)
			})
			got, err := FetchSockets(path)
			var fetch *FetchError
			if !errors.As(err, &fetch) || err.Error() != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
			if len(got) > 0 {
				t.Errorf("%d sockets with an error", len(got))
			}
		})
	}
	for _, from := range []string{"/nonexistent/s", "sockpair@x", "sockpair@987654", "sockpair@"} {
		want := fmt.Sprintf("Failed to connect to the old process socket '%s'", from)
		if _, err := FetchSockets(from); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Whatever comes instead of entries, each descriptor has a socket or there is an error.
func FuzzDecodeSockets(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0}, 1)
	f.Add([]byte{4, 'b', 'l', 'u', 'e', 2, 'l', 'o', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2)
	f.Add([]byte{255, 1}, 1)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, entries []byte, count int) {
		count = max(min(count, 1000), 0)
		fds := make([]int, count)
		sockets, err := decodeSockets(entries, fds)
		if err == nil && len(sockets) != count || err != nil && sockets != nil {
			t.Errorf("%d sockets of %d, %v", len(sockets), count, err)
		}
		if n := completeEntries(entries, count); n > count || err == nil && n != count {
			t.Errorf("%d complete entries of %d, %v", n, count, err)
		}
	})
}

// Whatever an old process answers, no descriptor is left open.
func FuzzFetchSockets(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0}, uint8(1))
	f.Add([]byte{2, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0, 2, 'l', 'o', 0}, uint8(2))
	f.Add([]byte("Unkn"), []byte("own command"), uint8(0))
	f.Add([]byte{255, 255, 255, 255}, []byte{}, uint8(3))
	f.Fuzz(func(t *testing.T, head, entries []byte, passed uint8) {
		checkDescriptors(t)
		fds := make([]int, passed%4)
		path := mustServe(t, func(conn *net.UnixConn) {
			readCommand(conn)
			conn.Write(head)
			if len(entries) > 0 {
				conn.WriteMsgUnix(entries, unix.UnixRights(fds...), nil)
			}
		})
		if got, err := FetchSockets(path); err == nil {
			closeSockets(got)
		}
	})
}

func TestElders(t *testing.T) {
	if NewElders().MakeRoom() {
		t.Error("nobody was asked, and there is hope")
	}
	if NewElders(1 << 30).MakeRoom() {
		t.Error("nobody is there, and there is hope")
	}
}
