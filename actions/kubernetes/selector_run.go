package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// lookEvery is how often the cluster is asked while a step waits for it.
const lookEvery = 250 * time.Millisecond

// Run writes the selector once, and waits until the endpoints have followed.
func (s *ServiceSelector) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	c, err := s.cluster(env)
	if err != nil {
		return actions.Result{}, err
	}
	var v switchView
	err = cluster.Again(ctx, func(ctx context.Context) (err error) {
		v, err = s.write(ctx, env, c)
		return err
	})
	if err != nil {
		return actions.Result{}, err
	}
	did := actions.Result{Summary: s.summary(v), Outputs: SelectorOutputs{Previous: v.previous(env), Ready: len(v.then.ready())}}
	ready, err := s.settle(ctx, env, c, v)
	did.Outputs = SelectorOutputs{Previous: v.previous(env), Ready: ready}
	return did, err
}

// write reads everything anew, refuses what is no longer as the plan found it, and writes in one patch.
func (s *ServiceSelector) write(ctx context.Context, env actions.Env, c *cluster.Cluster) (switchView, error) {
	v, err := s.look(ctx, c)
	if err != nil || v.switched() {
		return v, err
	}
	if s.from == nil {
		s.from = v.selector
	}
	if !maps.Equal(s.from, v.selector) {
		return v, actions.Permanent(fmt.Errorf("switch %s: somebody else has switched it to %s meanwhile: nothing was written", s.ref(), selectorText(v.selector)))
	}
	if err := errors.Join(c.Under(ctx, v.service, s.Under, true), c.Claim(ctx, env, s.ref())); err != nil {
		return v, err
	}
	_, err = c.JSONPatch(ctx, s.ref(), v.ops(env), cluster.PatchOptions{})
	return v, err
}

// previous is the selector before the step, also for an attempt that finds it done.
func (v switchView) previous(env actions.Env) map[string]string {
	if record, written := v.record(); v.switched() && written && record.Key == env.Key {
		return record.From
	}
	return v.selector
}

// settle waits until the endpoints hold pods of the new side alone.
func (s *ServiceSelector) settle(ctx context.Context, env actions.Env, c *cluster.Cluster, v switchView) (int, error) {
	var ready int
	var short error
	told := ""
	err := cluster.Until(ctx, lookEvery, func(ctx context.Context) (bool, error) {
		ready, short = s.settled(ctx, c, v.floor)
		switch {
		case short == nil:
			return true, nil
		case !errors.Is(short, actions.ErrNotDone) || actions.IsPermanent(short):
			return false, short
		case short.Error() != told && env.Progress != nil:
			told = short.Error()
			env.Progress(told)
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil && short != nil && !errors.Is(short, ctx.Err()) {
		return ready, fmt.Errorf("switch %s: it was written, but %w: %w", s.ref(), short, ctx.Err())
	}
	return ready, err
}

// settled says how many pods of the new side take traffic, and what is missing.
func (s *ServiceSelector) settled(ctx context.Context, c *cluster.Cluster, floor int) (int, error) {
	service, err := c.Get(ctx, s.ref())
	if err != nil {
		return 0, err
	}
	if is := selectorOf(service); !maps.Equal(is, s.Selector) {
		return 0, actions.Permanent(actions.NotDone("the selector of %s is %s, not %s", s.ref(), selectorText(is), selectorText(s.Selector)))
	}
	goal, err := readSide(ctx, c, s.Namespace, selectorText(s.Selector))
	if err != nil {
		return 0, err
	}
	served, err := endpointsOf(ctx, c, s.Namespace, s.Service)
	if err != nil {
		return 0, err
	}
	taking := 0
	for _, p := range goal.ready() {
		if served[p.uid] != "" {
			taking++
		}
		delete(served, p.uid)
	}
	for _, p := range goal.pods { // one that is not ready takes none, whatever a slice says
		delete(served, p.uid)
	}
	switch {
	case len(served) > 0:
		return taking, actions.NotDone("%s still serves from %s of another side", s.ref(), countPods(len(served)))
	case taking < floor:
		return taking, actions.NotDone("%s serves from %s of the new side, %d are needed", s.ref(), countPods(taking), floor)
	}
	return taking, nil
}

// endpointsOf are the pods that a Service leads new connections to, by uid, from all of its EndpointSlices. What leads to no pod
// stands under its address.
func endpointsOf(ctx context.Context, c *cluster.Cluster, namespace, service string) (map[string]string, error) {
	slices, err := c.List(ctx, "EndpointSlice", namespace, "kubernetes.io/service-name="+service)
	if err != nil {
		return nil, err
	}
	served := map[string]string{}
	for _, o := range slices {
		all, _, _ := unstructured.NestedSlice(o.Object, "endpoints")
		for _, e := range all {
			endpoint, _ := e.(map[string]any)
			if uid, name := takes(endpoint); uid != "" {
				served[uid] = name
			}
		}
	}
	return served, nil
}

// takes gives the pod of an endpoint that takes new connections. What is not said is taken as the API means it: ready, and
// not ending.
func takes(endpoint map[string]any) (uid, name string) {
	ready, told, _ := unstructured.NestedBool(endpoint, "conditions", "ready")
	ending, _, _ := unstructured.NestedBool(endpoint, "conditions", "terminating")
	if told && !ready || ending {
		return "", ""
	}
	uid, _, _ = unstructured.NestedString(endpoint, "targetRef", "uid")
	name, _, _ = unstructured.NestedString(endpoint, "targetRef", "name")
	if uid == "" {
		addresses, _, _ := unstructured.NestedStringSlice(endpoint, "addresses")
		uid = fmt.Sprint("address ", addresses)
		name = uid
	}
	return uid, name
}

// Verify is nil when the selector is the new one and the endpoints have followed.
func (s *ServiceSelector) Verify(ctx context.Context, env actions.Env) error {
	c, err := s.cluster(env)
	if err != nil {
		return err
	}
	service, err := c.Get(ctx, s.ref())
	if err != nil {
		return err
	}
	floor := max(s.Floor, 1)
	if record, written := (switchView{service: service}).record(); written && record.Key == env.Key {
		floor = record.Ready
	}
	_, err = s.settled(ctx, c, floor)
	return err
}

// Repair writes nothing: the switch is one write, so there is no half of it, and traffic never goes back to the side that was
// left.
func (s *ServiceSelector) Repair(_ context.Context, env actions.Env) error {
	if err := s.Validate(); err != nil {
		return actions.Permanent(err)
	}
	if env.Progress != nil {
		env.Progress(fmt.Sprintf("%s stays as it is: a switch is one write and is never taken back", s.ref()))
	}
	return nil
}
