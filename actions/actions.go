// Package actions says what an action is and keeps the registry of those a procedure or a communication may use.
// It imports nothing of astern: an action can be written, tested and read without knowing the engine.
package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// Action is code that a step or a notice uses. Its struct fields are its parameters: YAML tags name them, doc comments
// describe them to the user. A value is filled by a strict decode, validated, and used by one goroutine.
type Action interface {
	// Name is "family/verb-words", or the family alone.
	Name() string
	// Validate is asked after rendering. A zero value is invalid unless the action has no required parameter.
	Validate() error
	// Plan only reads: it says what would change, as a person can approve it.
	Plan(ctx context.Context, env Env) (Change, error)
	// Run converges: with the same env.Key it has one effect, however often it is called.
	Run(ctx context.Context, env Env) (Result, error)
	// Outputs is a zero value of Result.Outputs: it types `steps.<name>.<output>`. Nil when there is none.
	Outputs() any
}

// Verifier is an action that can say whether its effect is there. It is asked after a crash and after Run.
// It answers nil when the effect is there, an error wrapping ErrNotDone when it certainly is not,
// and any other error when it cannot tell.
type Verifier interface {
	Verify(ctx context.Context, env Env) error
}

// Looker is an action that says without asking the world whether it only looks or waits. One that does not say changes.
type Looker interface {
	OnlyLooks() bool
}

// Laster is an action whose length its parameters say.
type Laster interface {
	Lasts() time.Duration
}

// Readier is an action that can say now whether its Run could do its work later: what it goes back to is there, its
// credentials are good, its rights are granted. It only reads. The error says what is missing and what to do.
type Readier interface {
	Ready(ctx context.Context, env Env) error
}

// Accessor is an action that says from its parameters alone which rights it needs at the Kubernetes API of its connection.
type Accessor interface {
	Access() []Access
}

// Access is a right at a Kubernetes API: verbs on one kind of object. An empty Name is every object of the namespace, an empty
// Namespace an object that lies in none.
type Access struct {
	Group, Resource, Subresource string
	Namespace, Name              string
	Verbs                        []string
}

// Repairer is an action that can undo its own half effect. It never undoes a whole one.
type Repairer interface {
	Repair(ctx context.Context, env Env) error
}

// Change is what an action would do.
type Change struct {
	// Changes is false for actions that only look or wait.
	Changes bool
	// Summary is one line, lower case, such as "weights of web: blue 0 -> 100, green 100 -> 0".
	Summary string
	// Diff has one line a change, starting with "+", "-", "~" or "=".
	Diff []string
	// Found is the digest of what the action's effect depends on, as read now. It leaves out what an earlier step of the
	// same plan changes. A step is not run when a fresh Plan finds something else (S4).
	Found string
}

// Result is what a run did.
type Result struct {
	// Summary is one line for the timeline.
	Summary string
	// Output is what a program printed, bounded by the action.
	Output string
	// Outputs is of the type of Action.Outputs, encoded for the history as JSON.
	Outputs any
	// Ref is how the provider names the message that was sent; only channels set it. It comes back in Notice.Ref.
	Ref string
}

// Env is what an action may use of the world, beside its parameters.
type Env struct {
	// Key identifies the effect: the same for every attempt of one step of one incident.
	Key string
	// Incident, Target and Environment name what it is for.
	Incident, Target, Environment string
	// Installation names this astern and its history: whoever shares a target with another installation sees it (S3).
	Installation string
	// Attempt counts from 1. Token is the fencing token of the target's lock; it only grows (S3).
	Attempt int
	Token   int64
	// Now tells the time.
	Now func() time.Time
	// Connect gives the opened connection of a kind ("haproxy", "prometheus", "slack") that the target or the
	// communication chose; name may choose another of the kind, empty takes the chosen one.
	Connect func(kind, name string) (any, error)
	// Progress may be told one line of what is going on; it is shown, not stored.
	Progress func(line string)
	// Notice is set for channels alone.
	Notice *Notice
}

// Notice is what a channel has to tell.
type Notice struct {
	// ID is stable for one owed communication of one incident; Delivery for one telling of it. A channel marks what it
	// sends with Delivery where the provider can be asked for it later.
	ID, Delivery string
	// First is true until a telling of this notice was proven; Ref is the proof of the first one.
	First bool
	Ref   string
	// InDoubt says that an earlier telling with the same Delivery may have arrived: look first where that is possible.
	InDoubt bool
	// SentAfter is when the first attempt of this Delivery began.
	SentAfter time.Time
	Message   Message
}

// Message is the incident as people are told it. All strings are plain text that may hold a stranger's words: a channel
// escapes them for its own place.
type Message struct {
	Incident    string `json:"incident"`
	Target      string `json:"target"`
	Environment string `json:"environment"`
	Severity    string `json:"severity,omitempty"`
	Phase       string `json:"phase"`
	// Title is one line: who, what, where to.
	Title string `json:"title"`
	// Status is what astern does now, or what came of it. News is what changed since the last telling.
	Status  string        `json:"status"`
	News    []string      `json:"news,omitempty"`
	Trigger string        `json:"trigger"`
	From    string        `json:"from,omitempty"`
	To      string        `json:"to,omitempty"`
	Plan    string        `json:"plan,omitempty"`
	Steps   []MessageStep `json:"steps,omitempty"`
	// Needs is what a person must do, empty when nothing; NeedsUntil is when that ends.
	Needs      string    `json:"needs,omitempty"`
	NeedsUntil time.Time `json:"needs_until,omitzero"`
	StartedAt  time.Time `json:"started_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	// Final says that the incident has ended; Good that it ended well.
	Final bool `json:"final"`
	Good  bool `json:"good"`
	// Taken says that a person has the incident in hand (approved, rejected, aborted or requested it).
	Taken bool `json:"taken,omitempty"`
	// Urgent says that a person must come: a failure, a doubt, an overdue notice, an approval.
	Urgent bool   `json:"urgent,omitempty"`
	URL    string `json:"url,omitempty"`
	Story  int    `json:"story"`
}

// MessageStep is one step of the plan in a message.
type MessageStep struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Summary string `json:"summary,omitempty"`
}

// ErrNotDone is wrapped by Verify when the effect is certainly not there.
var ErrNotDone = errors.New("not done")

// NotDone says why the effect is certainly not there.
func NotDone(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotDone, fmt.Sprintf(format, args...))
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error that no further attempt can mend.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent says whether Permanent marked the error.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

// The Go type of a field says where its text will stand, so that what `${…}` puts in is escaped for that place.
// A plain string is refused for substituted alert text in none of them: it is data for a structured encoder.
type (
	// PromQL is a PromQL expression: values go in as the inside of a quoted string.
	PromQL string
	// URL is an address: values go in as one escaped path segment or query value, except `target.*` at its start.
	URL string
	// Arg is one element of an argv: a value stays one element whatever it holds.
	Arg string
	// Text is for people: control characters and bidirectional overrides are made visible.
	Text string
)

// Duration is a time.Duration that YAML and JSON write as "30s".
type Duration time.Duration

// MarshalText writes the duration in Go's form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads Go's form, and days as "2d".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// ParseDuration reads Go's durations, and whole days as "2d".
func ParseDuration(s string) (time.Duration, error) {
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); n == 1 && err == nil && fmt.Sprintf("%dd", days) == s {
		return time.Duration(days) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30s, 5m or 2d", s)
	}
	return d, nil
}

// Connection is the configuration of one named connection: what stands under `connections.<kind>.<name>` in astern.yaml.
type Connection interface {
	// Validate is asked after the strict decode.
	Validate() error
	// Open gives what actions of the kind get from Env.Connect. It does not touch the network.
	Open(dial Dial) (any, error)
}

// Dial opens network connections under the installation's egress rules.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// EncodeOutputs writes a result's outputs for the history.
func EncodeOutputs(outputs any) (json.RawMessage, error) {
	if outputs == nil {
		return nil, nil
	}
	raw, err := json.Marshal(outputs)
	if err != nil {
		return nil, fmt.Errorf("encode outputs: %w", err)
	}
	return raw, nil
}

type moved struct{ error }

func (m moved) Unwrap() error { return m.error }

// Moved marks a Plan's error that says that somebody changed the world in between, such as a deploy: a plan that was made
// before is superseded by it (S4).
func Moved(err error) error {
	if err == nil {
		return nil
	}
	return moved{err}
}

// IsMoved says whether Moved marked the error.
func IsMoved(err error) bool {
	var m moved
	return errors.As(err, &m)
}

type doubtful struct{ error }

func (d doubtful) Unwrap() error { return d.error }

// Doubtful marks a Run's error after which nobody knows whether the effect is there, such as a connection that broke
// after the request left. The engine asks Verify; without an answer a person decides. Such a step is never repeated
// blindly.
func Doubtful(err error) error {
	if err == nil {
		return nil
	}
	return doubtful{err}
}

// IsDoubtful says whether Doubtful marked the error.
func IsDoubtful(err error) bool {
	var d doubtful
	return errors.As(err, &d)
}
