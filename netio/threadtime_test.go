package netio

import (
	"runtime"
	"testing"
)

func TestThreadTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := ThreadTime(Thread())
	for ThreadTime(Thread()) == before { // it goes on while the thread runs
	}
	if before <= 0 {
		t.Errorf("%v used", before)
	}
	if used := ThreadTime(1 << 28); used != 0 {
		t.Errorf("%v used by nobody", used)
	}
}
