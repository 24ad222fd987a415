package testutil

import (
	"testing"
	"time"
)

// Deadline bounds every wait of this package. It is generous because it only ends a test that has
// failed already: a passing test never waits for it, however slow the machine.
const Deadline = time.Minute

// Eventually polls cond until it holds, and fails the test when it does not within Deadline.
func Eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	if !poll(Deadline, cond) {
		tb.Fatalf("waited %v in vain: %s", Deadline, what)
	}
}

// Soon polls cond until it holds or Deadline has passed, for a caller that tells what is wrong better than a word can.
func Soon(cond func() bool) {
	poll(Deadline, cond)
}

// poll calls cond at a growing interval until it holds or limit has passed.
func poll(limit time.Duration, cond func() bool) bool {
	end := time.Now().Add(limit)
	pause := time.Millisecond
	for !cond() {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(pause)
		if pause < 20*time.Millisecond {
			pause *= 2
		}
	}
	return true
}
