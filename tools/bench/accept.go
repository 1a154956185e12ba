package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
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

// caller sends over Go's own client.
type caller struct{ http http.Client }

func newCaller() *caller {
	return &caller{http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}}
}

// send delivers one alert.
func (c *caller) send(ctx context.Context, url string, labels map[string]string) error {
	body, err := firing(labels)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/alertmanager", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	return taken(resp)
}

// firing is the notification that an alert fires since now.
func firing(labels map[string]string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "receiver": "astern", "status": "firing", "alerts": []any{map[string]any{
			"status": "firing", "labels": labels, "annotations": map[string]string{}, "startsAt": time.Now().UTC(), "endsAt": time.Time{}, "fingerprint": "f",
		}},
	})
}

// taken says whether the door took the notification in.
func taken(resp *http.Response) error {
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the door answered %d: %s", resp.StatusCode, said)
	}
	return err
}

// knocker sends notifications to a stack's door over one connection of its own, and costs as little as it can: what it
// costs is measured with the door.
type knocker struct {
	conn net.Conn
	read *bufio.Reader
}

func dial(ctx context.Context, url string) (*knocker, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, err
	}
	return &knocker{conn, bufio.NewReader(conn)}, nil
}

// send delivers one alert and gives how long its acknowledgement took.
func (c *knocker) send(labels map[string]string) (time.Duration, error) {
	body, err := firing(labels)
	if err != nil {
		return 0, err
	}
	request := fmt.Appendf(nil, "POST /api/v1/alertmanager HTTP/1.1\r\nHost: astern\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", token, len(body))
	begun := time.Now()
	if _, err := c.conn.Write(append(request, body...)); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(c.read, nil)
	if err != nil {
		return 0, err
	}
	err = taken(resp)
	return time.Since(begun), err
}

// acceptWays are the ways of writing that are held against each other: as the product does, with a transaction for each
// notification, and with one for each write, so that a notification's ledger line waits for what it led to.
var acceptWays = []struct {
	name  string
	batch int
	apart bool
}{{name: "accept-group"}, {name: "accept-commit-a-notification", batch: 1}, {name: "accept-single-commit", batch: 1, apart: true}}

// measureAccept lets 64 callers send matching notifications, each a new alert, through the door into the engine and the
// disk. The ways take turns, each with a database of its own.
func measureAccept(ctx context.Context, dir string) error {
	stacks, took := make([]*stack, len(acceptWays)), make([]time.Duration, len(acceptWays))
	var alone []time.Duration
	for n, way := range acceptWays {
		var err error
		if stacks[n], err = newStack(ctx, filepath.Join(dir, way.name), way.batch, callers); err != nil {
			return err
		}
		stacks[n].store.apart = way.apart
	}
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
	for n, way := range acceptWays {
		figure(way.name, rounds*callers*share/took[n].Seconds(), "notifications/s")
		if n > 0 {
			ratio("accept-group-vs-"+strings.TrimPrefix(way.name, "accept-"), took[n].Seconds()/took[0].Seconds())
		}
		if err := stacks[n].close(); err != nil {
			return err
		}
	}
	spread("accept-64-at-once", alone)
	return nil
}

func acceptRound(ctx context.Context, s *stack, round int) ([]time.Duration, error) {
	var mu sync.Mutex
	var times []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	for n := range callers {
		group.Go(func() error {
			c, err := dial(ctx, s.door.URL)
			if err != nil {
				return err
			}
			defer c.conn.Close()
			for i := 0; i < share && ctx.Err() == nil; i++ {
				took, err := c.send(map[string]string{"alertname": "Waits", "service": fmt.Sprintf("t%d", n), "instance": fmt.Sprintf("%d-%d", round, i)})
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
// the judgement and the recorded intent, one durable write, between them.
func measureFirstStep(ctx context.Context, dir string) error {
	const incidents = 200
	s, err := newStack(ctx, filepath.Join(dir, "first-step"), 0, incidents)
	if err != nil {
		return err
	}
	person := engine.Person{Name: "on-call", Role: "admin"}
	if err := s.engine.Arm(ctx, person, "bench"); err != nil {
		return err
	}
	var first, accepted []time.Duration
	c, err := dial(ctx, s.door.URL)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for n := range incidents {
		target := fmt.Sprintf("t%d", n)
		for age, version := range []string{"v2", "v1"} {
			r := incident.Release{Version: version, At: time.Now().Add(-time.Duration(age+1) * time.Hour), Verdict: incident.Good}
			if err := s.engine.RecordRelease(ctx, person, target, r); err != nil {
				return err
			}
		}
		took, err := c.send(map[string]string{"alertname": "AtOnce", "service": target})
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
