package web

import (
	"context"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

type hands interface {
	Receive(ctx context.Context, n engine.Notification) (engine.Receipt, error)
	Incidents(ctx context.Context, f incident.HeadFilter) ([]incident.Head, error)
	Incident(ctx context.Context, id string) (incident.Incident, []incident.Event, error)
	Progress(id string) string
	Watch(id string) (changed <-chan struct{}, stop func())
	Preview(ctx context.Context, target string) (engine.Preview, error)
	Rollback(ctx context.Context, p engine.Person, target, reason, planHash string) (id string, err error)
	Approve(ctx context.Context, p engine.Person, id, planHash, comment string) error
	Settle(ctx context.Context, p engine.Person, id, step string, s engine.Settlement, reason string) error
	Reject(ctx context.Context, p engine.Person, id, reason string) error
	Abort(ctx context.Context, p engine.Person, id, reason string) error
	Hold(ctx context.Context, p engine.Person, target, reason string, d time.Duration) error
	Arm(ctx context.Context, p engine.Person, reason string) error
	Disarm(ctx context.Context, p engine.Person, reason string) error
	Stop(ctx context.Context, p engine.Person, scope, reason string) error
	Resume(ctx context.Context, p engine.Person, scope, reason string) error
	ReleaseMassEvent(ctx context.Context, p engine.Person, reason string) error
	RecordRelease(ctx context.Context, p engine.Person, target string, r incident.Release) error
	DenyRelease(ctx context.Context, p engine.Person, target, version, reason string) error
	JudgeRelease(ctx context.Context, p engine.Person, target, version string, v incident.Standing, reason string) error
	Targets(ctx context.Context) ([]engine.TargetStatus, error)
	Target(ctx context.Context, name string) (engine.TargetStatus, error)
	Rules() []engine.RuleStatus
	Status(ctx context.Context) (engine.Status, error)
	Deliveries(ctx context.Context, limit int) ([]incident.Delivery, error)
	Ready(ctx context.Context) error
}
