package balance

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
	"net/netip"
)

// Fold makes 32 bits of an address: its big-endian words of four bytes, combined by exclusive or.
// An IPv4 address is its own value. An invalid address folds to 0.
func Fold(addr netip.Addr) uint32 {
	if addr.Is4() {
		a := addr.As4()
		return binary.BigEndian.Uint32(a[:])
	}
	if !addr.Is6() {
		return 0
	}
	a := addr.As16()
	return binary.BigEndian.Uint32(a[0:]) ^ binary.BigEndian.Uint32(a[4:]) ^
		binary.BigEndian.Uint32(a[8:]) ^ binary.BigEndian.Uint32(a[12:])
}

// Avalanche spreads a small difference in h over all 32 bits: Bob Jenkins' integer hash with six
// shifts, then a multiplication by a prime near three quarters of the range.
func Avalanche(h uint32) uint32 {
	h = h + 0x7ed55d16 + h<<12
	h = h ^ 0xc761c23c ^ h>>19
	h = h + 0x165667b1 + h<<5
	h = (h + 0xd3a2646c) ^ h<<9
	h = h + 0xfd7046c5 + h<<3
	h = h ^ 0xb55a4f09 ^ h>>16
	return h * 3221225473
}

// SDBM is the string hash of the sdbm database library.
func SDBM(key []byte) uint32 {
	var h uint32
	for _, c := range key {
		h = uint32(c) + h<<6 + h<<16 - h
	}
	return h
}

// DJB2 is Daniel Bernstein's string hash, the variant that adds.
func DJB2(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = h<<5 + h + uint32(c)
	}
	return h
}

// WT6 is the hash HAProxy calls wt6: two words that swap places with every byte, each rotated by an
// amount that depends on what came before.
func WT6(key []byte) uint32 {
	a, b := uint32(0xa53c965a), uint32(0x5ca6953a)
	rotA, rotB := 6, 18
	for _, c := range key {
		a = ^(a ^ uint32(c))
		b = ^(b + uint32(c))
		a, b = bits.RotateLeft32(b, rotA), bits.RotateLeft32(a, rotB)
		mix := (a>>16 ^ b) & 0xffff
		rotA, rotB = int(mix&31), int(mix>>11)
	}
	return a ^ b
}

// CRC32 is the checksum of Ethernet and gzip.
func CRC32(key []byte) uint32 { return crc32.ChecksumIEEE(key) }

// Number reads key as a decimal number with an optional sign, up to the first byte that is no
// digit, limited to 64 bits, and returns its low 32 bits. It is the hash function "none".
func Number(key []byte) uint32 {
	negative := len(key) > 0 && key[0] == '-'
	if negative || len(key) > 0 && key[0] == '+' {
		key = key[1:]
	}
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	var n uint64
	for _, c := range key {
		digit := uint64(c - '0')
		if digit > 9 {
			break
		}
		if n > (limit-digit)/10 {
			n = limit
			break
		}
		n = n*10 + digit
	}
	if negative {
		n = -n
	}
	return uint32(n)
}
