package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
)

// PausedKey is the annotation in which a pause records on the paused object how it was, so that a restart, or a person with
// kubectl alone, can put it back.
const PausedKey = "astern.dev/paused"

// PausedKeyFor is the annotation for one of several things that an object pauses, such as the Applications of an AppProject.
func PausedKeyFor(name string) string {
	if len("paused-"+name) > maxName {
		sum := sha256.Sum256([]byte(name))
		name = name[:maxName-len("paused-")-9] + "-" + hex.EncodeToString(sum[:4])
	}
	return PausedKey + "-" + name
}

// Paused is what a pause records. Several incidents may pause one object: the last of them that resumes puts it back.
type Paused struct {
	// Before is the paused field as it was; null where it was not set.
	Before any `json:"before"`
	// By are the incidents that want it paused.
	By    []string  `json:"by"`
	Since time.Time `json:"since"`
}

// PausedOf reads the record on an object; false when there is none.
func PausedOf(obj *unstructured.Unstructured, key string) (Paused, bool, error) {
	text, there := obj.GetAnnotations()[key]
	if !there {
		return Paused{}, false, nil
	}
	var p Paused
	if err := json.Unmarshal([]byte(text), &p); err != nil || len(p.By) == 0 {
		return Paused{}, false, actions.Permanent(fmt.Errorf("%s: its annotation %s is no record of a pause: put it back by hand and remove the annotation", RefOf(obj), key))
	}
	return p, true, nil
}

// NewPaused is the record of a pause that begins now.
func NewPaused(env actions.Env, before any) Paused {
	return Paused{Before: before, By: []string{holder(env)}, Since: env.Now().UTC().Truncate(time.Second)}
}

// Holds says whether this incident wants it paused.
func (p Paused) Holds(env actions.Env) bool { return slices.Contains(p.By, holder(env)) }

// With adds this incident.
func (p Paused) With(env actions.Env) Paused {
	if !p.Holds(env) {
		p.By = append(slices.Clone(p.By), holder(env))
	}
	return p
}

// Without takes this incident away; last says that no other is left.
func (p Paused) Without(env actions.Env) (rest Paused, last bool) {
	p.By = slices.DeleteFunc(slices.Clone(p.By), func(by string) bool { return by == holder(env) })
	return p, len(p.By) == 0
}

// Text is the record as it is written.
func (p Paused) Text() string {
	raw, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return string(raw)
}

func holder(env actions.Env) string {
	by := env.Incident
	if by == "" {
		by = env.Key
	}
	if env.Installation != "" {
		by = env.Installation + "/" + by
	}
	return by
}

// ClaimShared claims an object that may serve several targets, such as an Application. Each target has tokens of its own, so
// the claim leaves them out: it keeps installations apart; the record of the pause tells incidents apart.
func (c *Cluster) ClaimShared(ctx context.Context, env actions.Env, ref Ref) error {
	env.Token = 0
	return c.Claim(ctx, env, ref)
}
