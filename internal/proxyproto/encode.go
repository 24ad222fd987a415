// Package proxyproto writes the header of the PROXY protocol, which tells a server who it is really talking to. It does
// not read one, and opens no connection.
package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// V1Max is the length of the longest header in version 1, bytes.
const V1Max = 107

// signature begins a header in version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// The third part of a header in version 2: version and command, family and transport.
const (
	commandLocal = 0x20
	commandProxy = 0x21
	familyNone   = 0x00
	familyTCP4   = 0x11
	familyTCP6   = 0x21
)

// AppendV1 appends a header in version 1, which is a line of text. Addresses of two families, or none, are not told.
func AppendV1(b []byte, src, dst netip.AddrPort) []byte {
	from, to, family := pair(src, dst)
	switch family {
	case familyTCP4:
		b = append(b, "PROXY TCP4 "...)
	case familyTCP6:
		b = append(b, "PROXY TCP6 "...)
	default:
		return append(b, "PROXY UNKNOWN\r\n"...)
	}
	b = from.AppendTo(b)
	b = append(b, ' ')
	b = to.AppendTo(b)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(src.Port()), 10)
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(dst.Port()), 10)
	return append(b, "\r\n"...)
}

// AppendV2 appends a header in version 2, which is binary. Addresses of two families, or none, are not told.
func AppendV2(b []byte, src, dst netip.AddrPort) []byte {
	from, to, family := pair(src, dst)
	b = append(b, signature...)
	b = append(b, commandProxy, family)
	if family == familyNone {
		return append(b, 0, 0)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(from.BitLen()/8*2+4))
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port())
}

// AppendV2Local appends the header in version 2 of a connection that nobody else asked for, such as a health check.
func AppendV2Local(b []byte) []byte {
	b = append(b, signature...)
	return append(b, commandLocal, familyNone, 0, 0)
}

// pair brings two addresses into one family, familyNone when there is none. IPv4 in IPv6 is IPv4 if both are.
func pair(src, dst netip.AddrPort) (from, to netip.Addr, family byte) {
	from, to = src.Addr().WithZone(""), dst.Addr().WithZone("")
	switch a, b := from.Unmap(), to.Unmap(); {
	case !a.IsValid() || !b.IsValid():
		return from, to, familyNone
	case a.Is4() && b.Is4():
		return a, b, familyTCP4
	case from.Is6() && to.Is6():
		return from, to, familyTCP6
	}
	return from, to, familyNone
}
