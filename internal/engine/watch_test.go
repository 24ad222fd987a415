package engine

import (
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/session"
	"github.com/penstock/penstock/internal/testutil"
)

// However many watch, and without a pause, they have their part of a worker's time and no more.
func TestWatchersShare(t *testing.T) {
	e, _ := mustStart(t, "global\n nbthread 1\nlisten l\n bind "+testutil.Loopback(testutil.FreePort(t))+"\n server s 127.0.0.1:1\n")
	const look, watchers, looks, share = 2 * time.Millisecond, 4, 3, 25
	var mu sync.Mutex
	var spans [][2]time.Time
	var group sync.WaitGroup
	for range watchers {
		group.Go(func() {
			for range looks {
				e.workers[0].Watch(func(*session.Table) {
					begun := time.Now()
					for time.Since(begun) < look {
					}
					mu.Lock()
					spans = append(spans, [2]time.Time{begun, time.Now()})
					mu.Unlock()
				})
			}
		})
	}
	group.Wait()
	if len(spans) != watchers*looks {
		t.Fatalf("%d looks", len(spans))
	}
	for i := 1; i < len(spans); i++ {
		took, pause := spans[i-1][1].Sub(spans[i-1][0]), spans[i][0].Sub(spans[i-1][1])
		if pause < (share-1)*took {
			t.Errorf("a look of %v is followed by another one after %v", took, pause)
		}
	}
}
