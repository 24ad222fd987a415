package check

import "time"

// untold are the backends of which it is not known yet which server has the role that they want. A backend is known once a
// server of it is up, or when each of them has told something.
type untold struct {
	left  map[*Backend]int // servers of which nothing is known; of the checker's goroutine
	known chan struct{}    // closed when left is empty
}

func newUntold(checks []*Check) untold {
	u := untold{left: map[*Backend]int{}, known: make(chan struct{})}
	for _, k := range checks {
		if k.program().roles && !k.shared().Up() && k.shared().Enabled() {
			u.left[k.backend]++
		}
	}
	if len(u.left) == 0 {
		close(u.known)
	}
	return u
}

// tell takes note that a check has ended.
func (u *untold) tell(k *Check) {
	left, waiting := u.left[k.backend]
	first := k.state.Checks == 1
	switch {
	case !waiting || !first && !k.shared().Up():
		return
	case left > 1 && !k.shared().Up():
		u.left[k.backend] = left - 1
		return
	}
	delete(u.left, k.backend)
	if len(u.left) == 0 {
		close(u.known)
	}
}

// AwaitRoles waits until the servers have told their roles, for limit at most: who starts to serve before that
// has nowhere to send sessions to. It must follow a Start that succeeded.
func (c *Checker) AwaitRoles(limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.untold.known:
	case <-c.done:
	case <-timer.C:
	}
}
