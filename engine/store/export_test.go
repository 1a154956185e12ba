package store

import "context"

// Exec runs a statement on the writer's own connection, between the writes.
func (s *SQLite) Exec(ctx context.Context, text string) error {
	return s.queue.do(ctx, func(w *writer) error {
		_, err := w.exec(text)
		return err
	})
}

// Ask reads one number on the writer's own connection.
func (s *SQLite) Ask(ctx context.Context, text string) (n int64, err error) {
	err = s.queue.do(ctx, func(w *writer) error { return w.scan(text, nil, &n) })
	return n, err
}

// Occupy lets a write begin that lasts until the returned function is called; its transaction stays open.
func (s *SQLite) Occupy(ctx context.Context) (release func()) {
	begun, done := make(chan struct{}), make(chan struct{})
	go s.queue.do(ctx, func(*writer) error { //nolint:errcheck // it cannot fail
		close(begun)
		<-done
		return nil
	})
	<-begun
	return func() { close(done) }
}

// Queued is how many writes wait.
func (s *SQLite) Queued() int { return s.queue.len() }

// Migrate brings the open store's file through these steps.
func (s *SQLite) Migrate(ctx context.Context, steps []string) error {
	return migrate(ctx, s.hands.writer.conn, steps, 1)
}

// Migrations are the steps of this version.
var Migrations = migrations

// Closing says whether nobody is let in any more.
func (s *SQLite) Closing() bool {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.closed
}
