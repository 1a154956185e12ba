package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const quarantineExample = `- name: quarantine
  uses: kubernetes/quarantine
  with:
    namespace: astern
    images: ["${release.current.digest}"]
    reason: "errors rose after ${release.current.version}"
    until: 14d
  timeout: 30s
  retry: {attempts: 3, backoff: 2s}
`

const defaultList = "astern-quarantine"

// Quarantine keeps a bad version from being deployed again while people look into it: it puts images on a list, a ConfigMap
// that is created where it is not there. A ValidatingAdmissionPolicy reads the list and refuses a Deployment, StatefulSet,
// DaemonSet, Job or CronJob that brings a listed image in. Whoever runs the cluster installs the policy and its binding
// (actions/kubernetes/quarantine_policy.yaml, or the chart); astern writes the list alone and needs no right on the policy.
//
// What runs already goes on: the policy leaves alone what is changed on an object that had the image before, such as its
// replicas, and pods that are made anew. Name digests where templates pin them. An image with a tag is refused as it stands
// in a template; another tag on the same image evades that.
//
// An entry says until when, why, and by which incident. It ends when its time is over, by a step with remove, or by a person
// who takes it off the list.
type Quarantine struct {
	// Namespace of the list.
	Namespace string `yaml:"namespace"`
	// ConfigMap is the name of the list; astern-quarantine without a word.
	ConfigMap string `yaml:"config_map,omitempty"`
	// Images are digests (sha256:… or registry.example/shop/api@sha256:…, which counts in every repository) or images with a
	// tag as templates have them (registry.example/shop/api:1.5.0).
	Images []string `yaml:"images"`
	// Reason is told to those whose deployment is refused.
	Reason actions.Text `yaml:"reason,omitempty"`
	// Until is how long the images are refused, such as 14d, or a moment such as 2026-12-01T00:00:00Z; 30d without a word. An
	// entry that is there already is never made shorter.
	Until string `yaml:"until,omitempty"`
	// Remove takes the images off the list instead, whoever put them there.
	Remove bool `yaml:"remove,omitempty"`
}

// Name is kubernetes/quarantine.
func (q *Quarantine) Name() string { return "kubernetes/quarantine" }

// Outputs is nothing.
func (q *Quarantine) Outputs() any { return nil }

// Validate checks names, images and the time.
func (q *Quarantine) Validate() error {
	failed := []error{cluster.CheckNamespace("namespace", q.Namespace), cluster.CheckName("config_map", q.ref().Name)}
	if len(q.Images) == 0 || len(q.Images) > maxQuarantined {
		failed = append(failed, fmt.Errorf("images: from 1 to %d are needed", maxQuarantined))
	}
	for n, image := range q.Images {
		if _, err := banned(image); err != nil {
			failed = append(failed, fmt.Errorf("images[%d]: %w", n, err))
		}
	}
	if !q.Remove && strings.TrimSpace(string(q.Reason)) == "" {
		failed = append(failed, errors.New("reason: is required: who is refused must be told why"))
	}
	if _, err := parseUntil(q.Until); err != nil {
		failed = append(failed, fmt.Errorf("until: %w", err))
	}
	return errors.Join(failed...)
}

func (q *Quarantine) ref() cluster.Ref {
	name := q.ConfigMap
	if name == "" {
		name = defaultList
	}
	return cluster.Ref{Kind: "ConfigMap", Namespace: q.Namespace, Name: name}
}

// Access is to read, create and patch the list, and nothing of the policy.
func (q *Quarantine) Access() []actions.Access {
	anyName := q.ref()
	anyName.Name = ""
	return []actions.Access{q.ref().Access("get", "patch"), anyName.Access("create")}
}

// Ready says whether the list may be written.
func (q *Quarantine) Ready(ctx context.Context, env actions.Env) error {
	c, err := q.cluster(env)
	if err != nil {
		return err
	}
	return c.Allowed(ctx, q.Access())
}

func (q *Quarantine) cluster(env actions.Env) (*cluster.Cluster, error) {
	if err := q.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	return cluster.Of(env)
}

// Plan says which images would come onto the list or off it, by a dry run of the write.
func (q *Quarantine) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, err := q.cluster(env)
	if err != nil {
		return actions.Change{}, err
	}
	var change actions.Change
	err = cluster.Again(ctx, func(ctx context.Context) error {
		l, err := q.read(ctx, env, c)
		if err != nil {
			return err
		}
		change = actions.Change{Changes: true, Summary: l.summary(), Diff: l.diff(), Found: l.found()}
		return l.write(ctx, c, true)
	})
	return change, err
}

// Run writes what is missing. The list is shared: entries of others stay, and no claim keeps another installation from adding
// its own.
func (q *Quarantine) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, err := q.cluster(env)
	if err != nil {
		return actions.Result{}, err
	}
	var did actions.Result
	err = cluster.Again(ctx, func(ctx context.Context) error {
		l, err := q.read(ctx, env, c)
		if err != nil {
			return err
		}
		did.Summary = l.summary()
		return l.write(ctx, c, false)
	})
	return did, err
}

// Verify reads the list.
func (q *Quarantine) Verify(ctx context.Context, env actions.Env) error {
	c, err := q.cluster(env)
	if err != nil {
		return err
	}
	l, err := q.read(ctx, env, c)
	if err != nil {
		return err
	}
	if open := l.open(); len(open) > 0 {
		return actions.NotDone("%s: %s", l.ref, strings.Join(open, ", "))
	}
	return nil
}

// read reads the list and finds what is to be written.
func (q *Quarantine) read(ctx context.Context, env actions.Env, c *cluster.Cluster) (list, error) {
	l := list{ref: q.ref(), remove: q.Remove, patch: map[string]any{}}
	obj, err := c.Get(ctx, l.ref)
	switch {
	case cluster.IsNotFound(err):
	case err != nil:
		return l, err
	default:
		l.obj = obj
		l.data, _, _ = unstructured.NestedStringMap(obj.Object, "data")
	}
	until, err := parseUntil(q.Until)
	if err != nil {
		return l, actions.Permanent(err)
	}
	now := env.Now()
	if !q.Remove && !until(now).After(now) {
		return l, actions.Permanent(fmt.Errorf("until: %s is over already", q.Until))
	}
	for _, text := range q.Images {
		image, err := banned(text)
		if err != nil {
			return l, actions.Permanent(err)
		}
		wanted := entry{image: image, until: until(now), by: by(env), key: ownLine(env.Key), reason: ownLine(string(q.Reason))}
		l.want(wanted, now)
	}
	return l, l.full()
}
