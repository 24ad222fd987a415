package backend

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/config"
)

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&config.Proxy{Servers: []*config.Server{{Name: "a", Weight: 1}, {Name: "b", Weight: 1, Disabled: true}}}, 0)
		want := func(same, down, serverSame, serverDown time.Duration, downs uint64) {
			t.Helper()
			gotSame, gotDown := b.Since()
			if gotSame != same || gotDown != down || b.Downs() != downs {
				t.Errorf("backend: %v, down %v in %d times, want %v, %v, %d", gotSame, gotDown, b.Downs(), same, down, downs)
			}
			if gotSame, gotDown = b.Server(0).Since(); gotSame != serverSame || gotDown != serverDown {
				t.Errorf("server: %v, down %v, want %v, %v", gotSame, gotDown, serverSame, serverDown)
			}
		}
		time.Sleep(time.Second)
		want(time.Second, 0, time.Second, 0, 0)
		b.SetAdmin(0, ForcedMaint)
		time.Sleep(2 * time.Second)
		want(2*time.Second, 2*time.Second, 2*time.Second, 2*time.Second, 1)
		b.SetAdmin(1, 0)
		time.Sleep(3 * time.Second)
		want(3*time.Second, 2*time.Second, 5*time.Second, 5*time.Second, 1)
		b.SetAdmin(0, 0)
		time.Sleep(time.Second)
		want(4*time.Second, 2*time.Second, time.Second, 5*time.Second, 1)
		b.SetAdmin(0, 0)
		b.ClearCounters()
		want(4*time.Second, 2*time.Second, time.Second, 5*time.Second, 0)
	})
}
