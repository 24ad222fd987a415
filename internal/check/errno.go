package check

import (
	"syscall"

	"github.com/penstock/penstock/netio"
)

// errorNames are the errors that a connection ends with, as HAProxy names them.
var errorNames = map[netio.Errno]string{
	syscall.ECONNREFUSED: "ECONNREFUSED",
	syscall.ECONNRESET:   "ECONNRESET",
	syscall.ECONNABORTED: "ECONNABORTED",
	syscall.ETIMEDOUT:    "ETIMEDOUT",
	syscall.EHOSTUNREACH: "EHOSTUNREACH",
	syscall.ENETUNREACH:  "ENETUNREACH",
	syscall.ENETDOWN:     "ENETDOWN",
	syscall.EPIPE:        "EPIPE",
	syscall.EACCES:       "EACCES",
	syscall.EPERM:        "EPERM",
}
