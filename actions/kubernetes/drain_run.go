package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// Run pauses KEDA, gives connections their time, scales to 0, and waits until every pod is gone.
func (d *Drain) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, err := d.cluster(env)
	if err != nil {
		return actions.Result{}, err
	}
	began := env.Now()
	v, err := d.pauses(ctx, env, c)
	if err != nil {
		return actions.Result{}, err
	}
	outputs := DrainOutputs{Replicas: int(v.replicas())}
	if v.scalers.keda != nil {
		outputs.Paused = v.scalers.keda.GetName()
	}
	if err := d.linger(ctx, env, v, began); err != nil {
		return actions.Result{Outputs: outputs}, err
	}
	if v.replicas() > 0 {
		if v, err = d.write(ctx, env, c); err != nil {
			return actions.Result{Outputs: outputs}, err
		}
	}
	err = d.wait(ctx, env, c, v)
	took := env.Now().Sub(began).Round(100 * time.Millisecond)
	return actions.Result{Summary: fmt.Sprintf("drained %s in %s: %d -> 0 replicas", d.ref(), took, outputs.Replicas), Outputs: outputs}, err
}

// asked reads everything anew, and refuses what must not be drained now, or is no longer what the plan found.
func (d *Drain) asked(ctx context.Context, env actions.Env, c *cluster.Cluster) (drainView, error) {
	v, err := d.look(ctx, c)
	if err != nil {
		return v, err
	}
	d.planned = cmp.Or(d.planned, v.found())
	if d.planned != v.found() {
		return v, actions.Permanent(fmt.Errorf("drain %s: it was replaced, or another version was put into it, since the plan was made: nothing was written", d.ref()))
	}
	if err := v.mayWrite(ctx, env, c, d.Under); err != nil {
		return v, err
	}
	return v, d.left(ctx, c, v)
}

func (d *Drain) pauses(ctx context.Context, env actions.Env, c *cluster.Cluster) (v drainView, err error) {
	err = cluster.Again(ctx, func(ctx context.Context) error {
		if v, err = d.asked(ctx, env, c); err != nil {
			return err
		}
		_, err = v.pause(ctx, env, c, false)
		return err
	})
	return v, err
}

// linger gives established connections what the pods' own grace period lacks of the time.
func (d *Drain) linger(ctx context.Context, env actions.Env, v drainView, began time.Time) error {
	first := d.within() - v.grace
	if first <= 0 || v.replicas() == 0 {
		return nil
	}
	d.tell(env, fmt.Sprintf("%s: established connections have %s before its pods are told to end", d.ref(), first))
	return cluster.Until(ctx, lookEvery, func(context.Context) (bool, error) { return env.Now().Sub(began) >= first, nil })
}

// write scales to 0 once everything was asked again.
func (d *Drain) write(ctx context.Context, env actions.Env, c *cluster.Cluster) (v drainView, err error) {
	err = cluster.Again(ctx, func(ctx context.Context) error {
		if v, err = d.asked(ctx, env, c); err != nil || v.replicas() == 0 {
			return err
		}
		return d.scale(ctx, c, v, false)
	})
	return v, err
}

// wait looks until no pod is left, and, where there are autoscalers, until they had the time to write once more.
func (d *Drain) wait(ctx context.Context, env actions.Env, c *cluster.Cluster, v drainView) error {
	deadline := env.Now().Add(d.within() + v.ending())
	settled, again := env.Now(), false
	if v.scalers.any() {
		settled = settled.Add(cmp.Or(d.period, scalerPeriod))
	}
	told := ""
	var left error
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		now, err := d.now(ctx, c)
		if err != nil {
			return false, err
		}
		if now.replicas() > 0 {
			if again || !v.scalers.any() {
				return false, actions.Permanent(fmt.Errorf("drain %s: somebody scaled it to %d meanwhile: it is left at that", d.ref(), now.replicas()))
			}
			d.tell(env, fmt.Sprintf("%s: an autoscaler wrote %d replicas; 0 is written again", d.ref(), now.replicas()))
			again, settled = true, env.Now().Add(cmp.Or(d.period, scalerPeriod))
			_, err := d.write(ctx, env, c)
			return false, err
		}
		if left = now.gone(); left == nil {
			return !env.Now().Before(settled), nil
		}
		if !env.Now().Before(deadline) {
			return false, fmt.Errorf("drain %s: %w; their time is over: is their node alive?", d.ref(), left)
		}
		if left.Error() != told {
			told = left.Error()
			d.tell(env, told)
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil && left != nil && !errors.Is(err, actions.ErrNotDone) {
		return fmt.Errorf("drain %s: %w: %w", d.ref(), left, err)
	}
	return err
}

func (d *Drain) tell(env actions.Env, line string) {
	if env.Progress != nil {
		env.Progress(line)
	}
}

// now is the object and its pods alone.
func (d *Drain) now(ctx context.Context, c *cluster.Cluster) (drainView, error) {
	var v drainView
	var err error
	if v.rollout, err = readRollout(ctx, c, d.ref()); err != nil {
		return v, err
	}
	v.pods, err = v.rollout.pods(ctx, c)
	return v, err
}

// gone is nil when the controller has seen the 0 and no pod is left. Its own count is not enough: it leaves out pods that end.
func (v drainView) gone() error {
	var names []string
	for n, p := range v.pods {
		if n == 3 {
			names = append(names, "…")
			break
		}
		names = append(names, p.name)
	}
	switch {
	case v.replicas() > 0:
		return actions.NotDone("%s has %d replicas", v.ref, v.replicas())
	case !v.seen():
		return actions.NotDone("%s: its controller has not seen the 0 replicas yet", v.ref)
	case len(v.pods) > 0:
		return actions.NotDone("%s: %s left (%s)", v.ref, countPods(len(v.pods)), strings.Join(names, ", "))
	}
	return nil
}

// Verify is nil when there are 0 replicas and no pod is left.
func (d *Drain) Verify(ctx context.Context, env actions.Env) error {
	c, err := d.cluster(env)
	if err != nil {
		return err
	}
	v, err := d.now(ctx, c)
	if err != nil {
		return err
	}
	return v.gone()
}
