// Package archtest holds the project's structure in place: which package may import which, where
// system calls and unsafe code may live, and that every package says what it is. It contains tests
// only.
package archtest
