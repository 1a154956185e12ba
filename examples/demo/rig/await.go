package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Await asks probe until it says yes. A probe's error is remembered and told when the context ends first; a program that
// ended will not come back, so ErrEnded is returned at once.
func Await(ctx context.Context, what string, probe func(ctx context.Context) (bool, error)) error {
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	var last error
	for {
		yes, err := probe(ctx)
		if yes && err == nil {
			return nil
		}
		if errors.Is(err, ErrEnded) {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ctx.Err(), last))
		}
	}
}

// ready waits until GET url answers 200, and fails early when the program behind it ends.
func ready(ctx context.Context, p *Process, url string) error {
	return Await(ctx, p.Name+" to be ready", func(ctx context.Context) (bool, error) {
		if err := p.Ended(); err != nil {
			return false, err
		}
		return true, getJSON(ctx, url, nil)
	})
}

// request is one HTTP request; body and token may be empty.
type request struct{ method, url, body, token string }

// getJSON reads an answer into out; out may be nil.
func getJSON(ctx context.Context, url string, out any) error {
	return call(ctx, request{method: http.MethodGet, url: url}, out)
}

// call sends one JSON request. An answer outside 2xx is an error with what it said.
func call(ctx context.Context, r request, out any) error {
	sent, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return err
	}
	if r.body != "" {
		sent.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		sent.Header.Set("Authorization", "Bearer "+r.token)
	}
	response, err := http.DefaultClient.Do(sent)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", r.method, r.url, response.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
