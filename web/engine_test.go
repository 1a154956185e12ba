package web

import (
	"context"
	"testing"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

type tmpEngine struct{ hands }

func (tmpEngine) Receive(_ context.Context, n engine.Notification) (engine.Receipt, error) {
	r := engine.Receipt{}
	for range n.Alerts {
		r.Decisions = append(r.Decisions, incident.Decision{Kind: "unmatched"})
	}
	return r, nil
}
func (tmpEngine) Ready(context.Context) error { return nil }

func (tmpEngine) Status(context.Context) (engine.Status, error) { return engine.Status{}, nil }

func newEngine(t testing.TB, now func() time.Time) hands { return tmpEngine{} }
