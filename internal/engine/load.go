package engine

// Load is what one worker carries and has moved.
type Load struct {
	Sessions  int
	BytesOut  uint64
	Spliced   uint64 // of BytesOut, through pipes
	PipesUsed int
}

// Loads are those of all workers; any goroutine may ask.
func (e *Engine) Loads() []Load {
	list := make([]Load, len(e.workers))
	for i, w := range e.workers {
		used, _ := w.Table.Pipes()
		list[i] = Load{w.Table.Live(), w.Table.BytesOut(), w.Table.SplicedOut(), used}
	}
	return list
}
