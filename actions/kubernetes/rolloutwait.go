package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	defaultRolloutWithin = actions.Duration(10 * time.Minute)
	defaultGrace         = actions.Duration(30 * time.Second)
	rolloutWaitExample   = `- name: rolled_out
  uses: kubernetes/rollout-wait
  with:
    kind: "${target.workload.kind}"
    namespace: "${target.workload.namespace}"
    name: "${target.workload.name}"
    to: "${release.previous.vars.template}"
    within: 10m
  timeout: 11m
`
)

// RolloutWait waits until a Deployment, StatefulSet or DaemonSet is rolled out: its controller has acted on the template that
// is there when the wait begins, every pod has it and is ready, and none of another template is left, those that end
// included.
//
// It does not wait for what cannot come: it fails when another template is set meanwhile, when the rollout is halted, when
// the progress deadline of this rollout passed, and when a pod of it does not start for a while (its image cannot be had,
// it crashes, its configuration is missing), which it names.
type RolloutWait struct {
	// Kind is Deployment, StatefulSet or DaemonSet.
	Kind string `yaml:"kind"`
	// Namespace of the object.
	Namespace string `yaml:"namespace"`
	// Name of the object.
	Object string `yaml:"name"`
	// To is the version that must roll out: the digest of its pod template, or of an image that it pins or that its pods run.
	// Without a word it is whatever is there.
	To string `yaml:"to,omitempty"`
	// Within bounds the wait; 10m without a word. The step's timeout must be longer.
	Within actions.Duration `yaml:"within,omitempty"`
	// Grace is how long a new pod may fail to start before the wait ends; 30s without a word.
	Grace actions.Duration `yaml:"grace,omitempty"`

	every time.Duration
}

// RolloutWaitOutputs is what later steps can read.
type RolloutWaitOutputs struct {
	// Template is the digest of the pod template that is rolled out.
	Template string `json:"template"`
	// Pods is how many pods have it.
	Pods int `json:"pods"`
}

// Name is kubernetes/rollout-wait.
func (w *RolloutWait) Name() string { return "kubernetes/rollout-wait" }

// Outputs types steps.<name>.pods.
func (w *RolloutWait) Outputs() any { return RolloutWaitOutputs{} }

// OnlyLooks is true.
func (w *RolloutWait) OnlyLooks() bool { return true }

func (w *RolloutWait) ref() cluster.Ref {
	return cluster.Ref{Kind: w.Kind, Namespace: w.Namespace, Name: w.Object}
}

// Validate checks the names and the times.
func (w *RolloutWait) Validate() error {
	failed := []error{checkRollout(w.ref())}
	if w.To != "" {
		failed = append(failed, checkDigest("to", w.To))
	}
	if w.Within < 0 {
		failed = append(failed, errors.New("within: must not be negative"))
	}
	if w.Grace < 0 {
		failed = append(failed, errors.New("grace: must not be negative"))
	}
	return errors.Join(failed...)
}

// Access is to read the object, its revisions and its pods.
func (w *RolloutWait) Access() []actions.Access {
	revisions := "ControllerRevision"
	if w.Kind == deployment {
		revisions = "ReplicaSet"
	}
	in := func(kind string) actions.Access {
		return cluster.Ref{Kind: kind, Namespace: w.Namespace}.Access("list")
	}
	return []actions.Access{w.ref().Access("get"), in(revisions), in("Pod")}
}

// Ready says whether the object is there and may be read.
func (w *RolloutWait) Ready(ctx context.Context, env actions.Env) error {
	c, err := w.cluster(env)
	if err != nil {
		return err
	}
	if err := c.Allowed(ctx, w.Access()); err != nil {
		return err
	}
	_, err = readRollout(ctx, c, w.ref())
	return err
}

func (w *RolloutWait) cluster(env actions.Env) (*cluster.Cluster, error) {
	if err := w.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	return cluster.Of(env)
}

// Plan says how far the rollout is now.
func (w *RolloutWait) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, err := w.cluster(env)
	if err != nil {
		return actions.Change{}, err
	}
	s, err := w.look(ctx, c)
	if err != nil {
		return actions.Change{}, err
	}
	within := time.Duration(cmp.Or(w.Within, defaultRolloutWithin))
	return actions.Change{Summary: fmt.Sprintf("wait %s at most until %s is rolled out; now %s", within, s.ref, s.line()), Found: s.uid()}, nil
}

// look reads the object, its revisions and its pods.
func (w *RolloutWait) look(ctx context.Context, c *cluster.Cluster) (stage, error) {
	r, err := readRollout(ctx, c, w.ref())
	if err != nil {
		return stage{}, err
	}
	s := stage{rollout: r}
	if s.revisions, err = s.rollout.revisions(ctx, c); err != nil {
		return stage{}, err
	}
	if s.all, err = s.podsOf(ctx, c, s.revisions); err != nil {
		return stage{}, err
	}
	withImages(s.revisions, s.all)
	return s, nil
}

// Run looks again and again. That the API server does not answer for a while ends nothing but the time.
func (w *RolloutWait) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, err := w.cluster(env)
	if err != nil {
		return actions.Result{}, err
	}
	p := patience{until: env.Now().Add(time.Duration(cmp.Or(w.Within, defaultRolloutWithin))), grace: time.Duration(cmp.Or(w.Grace, defaultGrace)), since: map[string]time.Time{}}
	var last stage
	err = cluster.Until(ctx, cmp.Or(w.every, time.Second), func(ctx context.Context) (bool, error) {
		s, err := w.look(ctx, c)
		if err != nil {
			return false, p.unread(w.ref(), err, env.Now())
		}
		done, err := w.judge(s, &last, &p, env)
		last = s
		return done, err
	})
	if err != nil {
		return actions.Result{}, fmt.Errorf("wait for the rollout of %s%s: %w", w.ref(), last.seenLast(), err)
	}
	return actions.Result{Summary: fmt.Sprintf("%s is rolled out: %s", last.ref, last.line()), Outputs: RolloutWaitOutputs{last.digest(), last.updatedPods()}}, nil
}

// judge says whether a look ends the wait.
func (w *RolloutWait) judge(now stage, last *stage, p *patience, env actions.Env) (bool, error) {
	if line := now.line(); env.Progress != nil && (last.obj == nil || line != last.line()) {
		env.Progress(line)
	}
	if err := w.moved(now, *last); err != nil {
		return false, err
	}
	if now.done() {
		return true, nil
	}
	return false, errors.Join(now.hopeless(), p.over(now, env.Now()))
}

// moved says whether what rolls out is not what was waited for.
func (w *RolloutWait) moved(s, last stage) error {
	present, fits := s.present(w.To)
	switch {
	case w.To != "" && !fits:
		return actions.Permanent(fmt.Errorf("it has the template %s, not the one to wait for (%s)", present.digest, w.To))
	case last.obj == nil:
		return nil
	case last.uid() != s.uid():
		return actions.Permanent(errors.New("it was deleted and made anew meanwhile"))
	case last.digest() != s.digest():
		return actions.Permanent(fmt.Errorf("another template was set meanwhile: %s instead of %s", s.digest(), last.digest()))
	}
	return nil
}

// Verify looks once.
func (w *RolloutWait) Verify(ctx context.Context, env actions.Env) error {
	c, err := w.cluster(env)
	if err != nil {
		return err
	}
	s, err := w.look(ctx, c)
	if err != nil {
		return err
	}
	if err := w.moved(s, stage{}); err != nil {
		return actions.NotDone("%s: %v", s.ref, err)
	}
	if !s.done() {
		return actions.NotDone("%s is not rolled out: %s", s.ref, s.line())
	}
	return nil
}
