package backend

// Observing: sessions tell how their connections to a server went, and so many failures in a row are reported.

// SetObserver has failed connections to a server counted: at limit of them in a row, observed is called and the count
// begins anew. It must be called before the first session. observed runs on the worker that saw the last failure,
// and must not block.
func (b *Backend) SetObserver(server, limit int, observed func(server, errors int)) {
	b.servers[server].errorLimit = int32(limit)
	b.observed = observed
}

// Connected tells that a connection to a server was established.
func (b *Backend) Connected(server int32) {
	if s := &b.servers[server]; s.errorLimit > 0 && s.errorsInRow.Load() > 0 {
		s.errorsInRow.Store(0)
	}
}

// ConnectFailed tells that a connection to a server could not be established.
func (b *Backend) ConnectFailed(server int32) {
	s := &b.servers[server]
	if s.errorLimit == 0 {
		return
	}
	if n := s.errorsInRow.Add(1); n >= s.errorLimit {
		s.errorsInRow.Store(0)
		b.observed(int(server), int(n))
	}
}
