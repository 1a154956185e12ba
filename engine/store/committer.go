package store

import (
	"errors"
	"runtime"
)

// committer serves the queue: it puts the writes that wait together into one transaction, each in a savepoint of its
// own, and answers them after COMMIT. One fsync then carries many writes, and none is acknowledged before it.
type committer struct {
	queue   *queue
	writer  *writer
	batch   int
	callers int // how many are at work: they wait, or were just answered
	done    chan struct{}
}

// run serves until the queue is closed and empty.
func (c *committer) run() {
	defer close(c.done)
	for {
		c.gather()
		jobs := c.queue.take(c.batch)
		if len(jobs) == 0 {
			return
		}
		c.commit(jobs)
	}
}

// patience is how often the committer steps aside without anyone coming, before it goes on: some microseconds.
const patience = 100

// gather lets the callers that were just answered come back with their next write: the batch after a large batch is
// then large again, instead of holding whoever woke first. It waits for nobody else: a lone writer waits for nothing.
func (c *committer) gather() {
	for alone, before := 0, 0; alone < patience; alone++ {
		n := c.queue.len()
		if n >= min(c.callers, c.batch) {
			return
		}
		if n > before {
			alone, before = 0, n
		}
		runtime.Gosched()
	}
}

// commit runs the jobs in one transaction and answers each. When the transaction fails, nothing of it was stored, and
// even a refusal is taken back: it may have been judged by what another job of this transaction wrote.
func (c *committer) commit(jobs []*job) {
	answers := make([]error, len(jobs))
	err := c.writer.begin()
	for i, j := range jobs {
		if !j.state.CompareAndSwap(waiting, taken) || err != nil {
			continue
		}
		answers[i] = c.writer.try(j.run)
		var lost *transactionLost
		if errors.As(answers[i], &lost) {
			err = lost.cause
		}
	}
	if err == nil {
		err = c.writer.commit()
	}
	if err != nil {
		c.writer.rollback()
	}
	c.callers = c.queue.len() + len(jobs)
	for i, j := range jobs {
		if err != nil {
			answers[i] = unavailable(err)
		}
		j.done <- answers[i]
	}
}
