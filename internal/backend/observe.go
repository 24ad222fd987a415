package backend

// Observing: sessions tell how their connections to a server went, and so many failures in a row are reported.

// SetObserver says who wants to know of a server of which so many connections in a row failed as its line says
// (observe, error-limit); the count begins anew then. It must be called before the first session. observed runs on the
// worker that saw the last failure, and must not block.
func (b *Backend) SetObserver(observed func(server, errors int)) { b.observed = observed }

// Connected tells that a connection to a server was established.
func (b *Backend) Connected(server int32) {
	if s := b.at(server); s.errorLimit > 0 && s.errorsInRow.Load() > 0 {
		s.errorsInRow.Store(0)
	}
}

// ConnectFailed tells that a connection to a server could not be established.
func (b *Backend) ConnectFailed(server int32) {
	s := b.at(server)
	if s.errorLimit == 0 {
		return
	}
	if n := s.errorsInRow.Add(1); n >= s.errorLimit {
		s.errorsInRow.Store(0)
		b.observed(int(server), int(n))
	}
}
