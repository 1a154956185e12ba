package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"astern.dev/astern/engine/incident"
)

// job is one write that waits for its place in a transaction.
type job struct {
	run   func(*writer) error // inside a savepoint of its own
	state atomic.Int32        // waiting, then taken or left
	done  chan error          // answered once, after COMMIT
}

const (
	waiting int32 = iota
	taken         // the committer has it: the answer is that of the transaction
	left          // its caller went away before that: nothing will be stored
)

// queue is the bounded line in front of the committer. Callers never block on it: a full line is an answer (S29).
type queue struct {
	mu     sync.Mutex
	filled sync.Cond
	jobs   []*job
	spare  []*job // the slice of the batch before, used again
	limit  int
	closed bool
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.filled.L = &q.mu
	return q
}

// put adds a job, or says why it cannot be taken in.
func (q *queue) put(j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return fmt.Errorf("%w: it is closing", incident.ErrUnavailable)
	case len(q.jobs) >= q.limit:
		return fmt.Errorf("%w: %d writes are waiting already", incident.ErrUnavailable, len(q.jobs))
	}
	q.jobs = append(q.jobs, j)
	q.filled.Signal()
	return nil
}

// take waits for jobs and removes at most limit of them, oldest first. It returns none when the queue is closed and empty.
func (q *queue) take(limit int) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) == 0 && !q.closed {
		q.filled.Wait()
	}
	if len(q.jobs) > limit {
		batch := append([]*job(nil), q.jobs[:limit]...)
		q.jobs = append(q.jobs[:0], q.jobs[limit:]...)
		return batch
	}
	batch := q.jobs
	q.jobs, q.spare = q.spare[:0], batch
	return batch
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs)
}

// close lets nobody in any more; what is inside is still served.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

// do hands a job to the committer and waits for its answer. A context that ends while the job waits takes it out: then
// nothing was stored. Once the committer has it, the answer is the transaction's, so that it is never uncertain.
func (q *queue) do(ctx context.Context, run func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{run: run, done: make(chan error, 1)}
	if err := q.put(j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
		return <-j.done
	}
}
