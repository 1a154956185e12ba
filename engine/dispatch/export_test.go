package dispatch

// Known is how many streams and lanes the dispatcher remembers.
func Known(l *Local) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tasks)
}
