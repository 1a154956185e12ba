package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

const (
	callers = 64
	rounds  = 12
	share   = 10 // notifications of a caller in a round
)

// caller sends notifications to a stack's door.
type caller struct{ http http.Client }

func newCaller() *caller {
	return &caller{http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}}
}

// send delivers one alert and gives how long its acknowledgement took.
func (c *caller) send(ctx context.Context, url string, labels map[string]string) (time.Duration, error) {
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "receiver": "astern", "status": "firing", "alerts": []any{map[string]any{
			"status": "firing", "labels": labels, "annotations": map[string]string{}, "startsAt": time.Now().UTC(), "endsAt": time.Time{}, "fingerprint": "f",
		}},
	})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/alertmanager", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	begun := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the door answered %d: %s", resp.StatusCode, said)
	}
	return time.Since(begun), err
}

// measureAccept lets 64 callers send matching notifications, each a new alert, through the door into the engine and the
// disk. Two databases take turns: one shares commits as the product does, the other commits each write alone.
func measureAccept(ctx context.Context, dir string) error {
	var stacks []*stack
	for _, batch := range []int{0, 1} {
		s, err := newStack(ctx, dir, batch, callers)
		if err != nil {
			return err
		}
		stacks = append(stacks, s)
	}
	took := [2]time.Duration{}
	var alone []time.Duration
	for round := range rounds {
		for n, s := range stacks {
			begun := time.Now()
			times, err := acceptRound(ctx, s, round)
			if err != nil {
				return err
			}
			took[n] += time.Since(begun)
			if n == 0 {
				alone = append(alone, times...)
			}
		}
	}
	notifications := float64(rounds * callers * share)
	figure("accept-group", notifications/took[0].Seconds(), "notifications/s")
	figure("accept-single-commit", notifications/took[1].Seconds(), "notifications/s")
	spread("accept-64-at-once", alone)
	ratio("accept-group-vs-single-commit", took[1].Seconds()/took[0].Seconds())
	for _, s := range stacks {
		if err := s.close(); err != nil {
			return err
		}
	}
	return nil
}

func acceptRound(ctx context.Context, s *stack, round int) ([]time.Duration, error) {
	var mu sync.Mutex
	var times []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	c := newCaller()
	defer c.http.CloseIdleConnections()
	for n := range callers {
		group.Go(func() error {
			for i := range share {
				took, err := c.send(ctx, s.door.URL, map[string]string{"alertname": "Waits", "service": fmt.Sprintf("t%d", n), "instance": fmt.Sprintf("%d-%d", round, i)})
				if err != nil {
					return err
				}
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
			}
			return nil
		})
	}
	return times, group.Wait()
}

// measureFirstStep asks how long it takes from the commit that opens an incident to the beginning of its first step, with
// the judgement and the recorded intent, two durable writes, between them.
func measureFirstStep(ctx context.Context, dir string) error {
	const incidents = 200
	s, err := newStack(ctx, filepath.Clean(dir), 2, incidents)
	if err != nil {
		return err
	}
	person := engine.Person{Name: "on-call", Role: "admin"}
	if err := s.engine.Arm(ctx, person, "bench"); err != nil {
		return err
	}
	var first, accepted []time.Duration
	c := newCaller()
	for n := range incidents {
		target := fmt.Sprintf("t%d", n)
		for age, version := range []string{"v2", "v1"} {
			r := incident.Release{Version: version, At: time.Now().Add(-time.Duration(age+1) * time.Hour), Verdict: incident.Good}
			if err := s.engine.RecordRelease(ctx, person, target, r); err != nil {
				return err
			}
		}
		took, err := c.send(ctx, s.door.URL, map[string]string{"alertname": "AtOnce", "service": target})
		if err != nil {
			return err
		}
		accepted = append(accepted, took)
		select {
		case began := <-s.began:
			first = append(first, began.Sub(s.store.opened))
		case <-time.After(10 * time.Second):
			return fmt.Errorf("incident %d never came to its first step", n)
		}
	}
	spread("accept-alone", accepted)
	spread("commit-to-first-step", first)
	return s.close()
}
