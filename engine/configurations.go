package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// KeepConfiguration stores a configuration's snapshot, before it is in force and anything can speak of its digest. One
// without a snapshot is not kept. Asking twice is harmless.
func (e *Engine) KeepConfiguration(ctx context.Context, c *Configuration) error {
	if len(c.Source) == 0 {
		return nil
	}
	if err := e.store.KeepConfiguration(ctx, c.Digest, e.now(), c.Source); err != nil {
		return fmt.Errorf("keep the configuration before it is in force: %w", err)
	}
	return nil
}

// ConfigurationAt is the configuration with a digest that an event or a ledger line carries: the one in force, or one
// that was. The latter has no open connections. ErrNotFound says that it is no longer kept.
func (e *Engine) ConfigurationAt(ctx context.Context, digest string) (*Configuration, error) {
	if c := e.config.Load(); c.Digest == digest {
		return c, nil
	}
	if c := e.reopened.find(digest); c != nil {
		return c, nil
	}
	body, _, err := e.store.Configuration(ctx, digest)
	if err != nil {
		return nil, err
	}
	if e.reread == nil {
		return nil, fmt.Errorf("configuration %s is kept, and nothing here can read it", digest)
	}
	c, err := e.reread(body)
	if err != nil {
		return nil, fmt.Errorf("read configuration %s as it was kept: %w", digest, err)
	}
	c.Digest, c.Source = digest, body
	e.reopened.add(c)
	return c, nil
}

// reopenedLimit is how many configurations of the past stay in memory: whoever asks, asks about the same one again.
const reopenedLimit = 4

// reopened are the configurations of the past that were asked for last, newest last.
type reopened struct {
	mu   sync.Mutex
	last []*Configuration
}

func (r *reopened) find(digest string) *Configuration {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := slices.IndexFunc(r.last, func(c *Configuration) bool { return c.Digest == digest })
	if n < 0 {
		return nil
	}
	c := r.last[n]
	r.last = append(slices.Delete(r.last, n, n+1), c)
	return c
}

func (r *reopened) add(c *Configuration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last = append(r.last, c); len(r.last) > reopenedLimit {
		r.last = slices.Delete(r.last, 0, 1)
	}
}
