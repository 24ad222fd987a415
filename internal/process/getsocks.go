package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// HAProxy hands its listening sockets to a successor over a stats socket that exposes them:
//
//	successor                      process that listens
//	    │ ── "_getsocks\n" ────────> │
//	    │ <──── count (an int) ───── │
//	    │ <─ up to 252 descriptors ─ │  SCM_RIGHTS, with one entry for each as the message's bytes:
//	    │ ── an int, any value ────> │    length and name of the network namespace,
//	    │ <─ the next ones ───────── │    length and name of the interface (lengths are one byte),
//	    │ ── an int, any value ────> │    four bytes that are zero
//
// Integers have the order of the machine's bytes. Nothing but the count of descriptors says where the
// sockets end. A process that has none to give closes without an answer.

// PassedSocket is a listening socket on its way between two processes, with what its owner knows and the
// kernel cannot tell. The descriptor belongs to whoever holds the value.
type PassedSocket struct {
	FD        int
	Netns     string // name of its network namespace; at most 255 bytes, as Interface
	Interface string
}

const (
	getSocksCommand  = "_getsocks\n"
	getSocksPatience = time.Second // for each step
	getSocksBatch    = 252         // the kernel takes 253 in a message
	getSocksMost     = 1 << 16     // sockets; a larger count is not a count
	getSocksEntryMax = 1 + 255 + 1 + 255 + getSocksPad
	getSocksPad      = 4
	intSize          = 4
)

// SendSockets answers _getsocks on conn. The descriptors stay the caller's; without any, nothing is sent.
func SendSockets(conn *net.UnixConn, sockets []PassedSocket) error {
	if len(sockets) == 0 {
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(getSocksPatience)); err != nil {
		return fmt.Errorf("send sockets: %w", err)
	}
	if _, err := conn.Write(binary.NativeEndian.AppendUint32(nil, uint32(len(sockets)))); err != nil {
		return fmt.Errorf("send number of sockets: %w", err)
	}
	for len(sockets) > 0 {
		batch := sockets[:min(len(sockets), getSocksBatch)]
		sockets = sockets[len(batch):]
		if err := sendBatch(conn, batch); err != nil {
			return fmt.Errorf("send sockets: %w", err)
		}
		if len(batch) < getSocksBatch {
			break
		}
		var answer [intSize]byte
		if err := conn.SetDeadline(time.Now().Add(getSocksPatience)); err != nil {
			return fmt.Errorf("send sockets: %w", err)
		}
		if _, err := io.ReadFull(conn, answer[:]); err != nil {
			return fmt.Errorf("wait for receiver of sockets: %w", err)
		}
	}
	return nil
}

func sendBatch(conn *net.UnixConn, batch []PassedSocket) error {
	var entries []byte
	var fds []int
	for _, s := range batch {
		if len(s.Netns) > 255 || len(s.Interface) > 255 {
			return fmt.Errorf("name of %d bytes: %w", max(len(s.Netns), len(s.Interface)), unix.ENAMETOOLONG)
		}
		entries = append(entries, byte(len(s.Netns)))
		entries = append(entries, s.Netns...)
		entries = append(entries, byte(len(s.Interface)))
		entries = append(entries, s.Interface...)
		entries = append(entries, make([]byte, getSocksPad)...)
		fds = append(fds, s.FD)
	}
	n, _, err := conn.WriteMsgUnix(entries, unix.UnixRights(fds...), nil)
	if err == nil && n < len(entries) {
		err = io.ErrShortWrite
	}
	return err
}

// FetchError is why a process handed no sockets over; its text is a complete message.
type FetchError struct {
	text string
	err  error
}

func (e *FetchError) Error() string { return e.text }

// Unwrap is the cause.
func (e *FetchError) Unwrap() error { return e.err }

// pairPrefix marks a descriptor that reaches a stats socket by a socket pair.
const pairPrefix = "sockpair@"

// FetchSockets asks the process that serves a stats socket for its listening sockets. from is a path, or
// "sockpair@" and a descriptor, over which the other process gets one end of a new connection; that
// descriptor is closed. Every wait ends after a second. On error, which is a *FetchError, nothing stays open.
func FetchSockets(from string) ([]PassedSocket, error) {
	conn, err := reach(from)
	if err != nil {
		return nil, &FetchError{fmt.Sprintf("Failed to connect to the old process socket '%s'", from), err}
	}
	defer conn.Close()
	return fetch(conn)
}

func reach(from string) (*net.UnixConn, error) {
	number, pair := strings.CutPrefix(from, pairPrefix)
	if !pair {
		conn, err := net.DialTimeout("unix", from, getSocksPatience)
		if err != nil {
			return nil, err
		}
		return conn.(*net.UnixConn), nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	if _, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	own := os.NewFile(uintptr(ends[0]), from)
	defer own.Close()
	// The two bytes mean nothing, but without them the message would not be one.
	err = unix.Sendmsg(fd, []byte{0, 0}, unix.UnixRights(ends[1]), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	unix.Close(ends[1])
	if err != nil {
		return nil, err
	}
	conn, err := net.FileConn(own)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// fetch speaks the protocol on a connection.
func fetch(conn *net.UnixConn) (sockets []PassedSocket, err error) {
	const noCount = "Failed to get the number of sockets to be transferred !"
	if err := conn.SetDeadline(time.Now().Add(getSocksPatience)); err != nil {
		return nil, &FetchError{noCount, err}
	}
	if _, err := io.WriteString(conn, getSocksCommand); err != nil {
		return nil, &FetchError{noCount, err}
	}
	var head [intSize]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, &FetchError{noCount, err}
	}
	count := int(int32(binary.NativeEndian.Uint32(head[:])))
	if count < 0 || count > getSocksMost {
		return nil, &FetchError{noCount, fmt.Errorf("it would be %d", count)}
	}
	fds, entries, err := receive(conn, count)
	if err == nil {
		sockets, err = decodeSockets(entries, fds)
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, err
	}
	return sockets, nil
}

// receive gets descriptors and entries until there are count descriptors and as many entries. What came is
// returned with an error too.
func receive(conn *net.UnixConn, count int) (fds []int, entries []byte, err error) {
	data := make([]byte, getSocksBatch*getSocksEntryMax)
	control := make([]byte, unix.CmsgSpace(4*(getSocksBatch+1)))
	for len(fds) < count || completeEntries(entries, count) < count {
		if err := conn.SetReadDeadline(time.Now().Add(getSocksPatience)); err != nil {
			return fds, entries, missing(count, len(fds), err)
		}
		n, controls, flags, _, err := conn.ReadMsgUnix(data, control)
		got := rights(control[:controls])
		fds = append(fds, got...)
		switch {
		case err != nil:
			return fds, entries, missing(count, len(fds), err)
		case n == 0:
			return fds, entries, missing(count, len(fds), io.ErrUnexpectedEOF)
		case flags&unix.MSG_CTRUNC != 0 || len(fds) > count:
			return fds, entries, &FetchError{"Got to many sockets !", nil}
		case len(entries)+n > count*getSocksEntryMax:
			return fds, entries, inconsistent()
		}
		entries = append(entries, data[:n]...)
		if len(got) > 0 {
			// The sender waits for it after some messages only, and may have left after the last one.
			_, _ = conn.Write(binary.NativeEndian.AppendUint32(nil, uint32(len(fds))))
		}
	}
	return fds, entries, nil
}

func missing(count, got int, cause error) error {
	return &FetchError{fmt.Sprintf("We didn't get the expected number of sockets (expecting %d got %d)", count, got), cause}
}

func inconsistent() error { return &FetchError{"Inconsistency while transferring sockets", nil} }

// rights are the descriptors of a control message.
func rights(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil // the kernel writes nothing like that
	}
	var fds []int
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

var errShortEntry = errors.New("entry is cut off")

// nextEntry reads one entry and returns what is behind it.
func nextEntry(entries []byte) (s PassedSocket, rest []byte, err error) {
	name := func() string {
		if err != nil || len(entries) == 0 || len(entries) <= int(entries[0]) {
			err = errShortEntry
			return ""
		}
		text := string(entries[1 : 1+int(entries[0])])
		entries = entries[1+len(text):]
		return text
	}
	s.Netns, s.Interface = name(), name()
	if err != nil || len(entries) < getSocksPad {
		return PassedSocket{}, nil, errShortEntry
	}
	return s, entries[getSocksPad:], nil
}

// completeEntries counts the entries that are there in full, up to most.
func completeEntries(entries []byte, most int) int {
	n := 0
	for n < most {
		_, rest, err := nextEntry(entries)
		if err != nil {
			break
		}
		entries = rest
		n++
	}
	return n
}

// decodeSockets gives each descriptor its entry.
func decodeSockets(entries []byte, fds []int) ([]PassedSocket, error) {
	var sockets []PassedSocket
	for _, fd := range fds {
		s, rest, err := nextEntry(entries)
		if err != nil {
			return nil, inconsistent()
		}
		s.FD = fd
		sockets = append(sockets, s)
		entries = rest
	}
	if len(entries) > 0 {
		return nil, inconsistent()
	}
	return sockets, nil
}
