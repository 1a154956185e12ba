package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	drainWithin = actions.Duration(30 * time.Second)
	// scalerPeriod is longer than an autoscaler takes to look again: once more it may write what it decided before.
	scalerPeriod = 20 * time.Second
	drainExample = `- name: drain
  uses: kubernetes/drain
  with:
    kind: Deployment
    namespace: "${target.workload.namespace}"
    name: "api-${release.current.vars.track}"
    service: "${target.workload.name}"
    within: 30s
  timeout: 2m
`
)

// Drain ends the pods of a Deployment or StatefulSet gracefully: it is scaled to 0, and the step waits until the last of its
// pods is gone. The object stays: to go back, scale it up again to the number of replicas that the step gives.
//
// It is refused while the Service still leads to those pods, while no other pod serves it, and where another Service would lose its
// last ready pods or a PodDisruptionBudget would no longer be kept by the pods of others. Established connections have the whole time
// of `within`: where the pods' own grace period (terminationGracePeriodSeconds) is shorter, the step waits for the difference before it
// scales. The grace period of running pods cannot be made longer: what they have not finished then is cut.
//
// A HorizontalPodAutoscaler rests while there are 0 replicas, yet may write once what it decided before: the step looks again
// for 20s and scales to 0 again, once. KEDA honours no 0 of others: its ScaledObject is paused by its annotations; what they held before
// is kept in its annotation astern.dev/drained.
type Drain struct {
	// Kind is Deployment or StatefulSet.
	Kind string `yaml:"kind"`
	// Namespace of the object.
	Namespace string `yaml:"namespace"`
	// Object is its name.
	Object string `yaml:"name"`
	// Service is the Service whose traffic has left the pods.
	Service string `yaml:"service"`
	// Preview lists other Services that are for these pods alone, such as one for smoke tests: they may lose their last pods.
	Preview []string `yaml:"preview,omitempty"`
	// Within is how long established connections may take to end; 30s without a word. The step's timeout must be longer, by the
	// grace period of the pods at least.
	Within actions.Duration `yaml:"within,omitempty"`
	// Under names the Argo CD or Flux object that would undo this and that an earlier step pauses, such as
	// argocd/argocd/shop or flux/Kustomization/flux-system/shop.
	Under string `yaml:"under,omitempty"`

	planned string        // what the plan found
	period  time.Duration // scalerPeriod where it is not set
}

// DrainOutputs is what later steps can read.
type DrainOutputs struct {
	// Replicas is how many there were before the step.
	Replicas int `json:"replicas"`
	// Paused is the ScaledObject of KEDA that was paused, if there is one.
	Paused string `json:"paused,omitempty"`
}

// Name is kubernetes/drain.
func (d *Drain) Name() string { return "kubernetes/drain" }

// Outputs types steps.<name>.replicas.
func (d *Drain) Outputs() any { return DrainOutputs{} }

func (d *Drain) ref() cluster.Ref {
	return cluster.Ref{Kind: d.Kind, Namespace: d.Namespace, Name: d.Object}
}

func (d *Drain) serviceRef() cluster.Ref {
	return cluster.Ref{Kind: "Service", Namespace: d.Namespace, Name: d.Service}
}

func (d *Drain) within() time.Duration { return time.Duration(cmp.Or(d.Within, drainWithin)) }

// Validate checks the names and the time.
func (d *Drain) Validate() error {
	failed := []error{cluster.CheckNamespace("namespace", d.Namespace), cluster.CheckName("name", d.Object), cluster.CheckName("service", d.Service), cluster.CheckUnder(d.Under)}
	switch {
	case d.Kind == "":
		failed = append(failed, errors.New("kind: is required"))
	case d.Kind != deployment && d.Kind != statefulSet:
		failed = append(failed, fmt.Errorf("kind: %.80q cannot be scaled to 0: it must be Deployment or StatefulSet", d.Kind))
	}
	for n, name := range d.Preview {
		failed = append(failed, cluster.CheckName(fmt.Sprintf("preview[%d]", n), name))
	}
	if d.Within < 0 {
		failed = append(failed, errors.New("within: must not be negative"))
	}
	return errors.Join(failed...)
}

// Access is to read and scale the one object, to look at what its pods serve and who else counts on them, and to pause KEDA.
func (d *Drain) Access() []actions.Access {
	in := func(kind string, verbs ...string) actions.Access {
		return cluster.Ref{Kind: kind, Namespace: d.Namespace}.Access(verbs...)
	}
	all := append(cluster.ClaimAccess(d.ref()), d.ref().Access("get"), d.ref().Sub("scale", "patch"), in("Pod", "list"), in("Service", "get", "list"),
		in("EndpointSlice", "list"), in("HorizontalPodAutoscaler", "list"), in("PodDisruptionBudget", "list"), in(scaledObject, "get", "patch"))
	if d.Kind == deployment {
		all = append(all, in("ReplicaSet", "list"))
	}
	return append(all, cluster.UnderAccess(d.Under)...)
}

// Ready says whether the object is there and could be drained once its traffic has left.
func (d *Drain) Ready(ctx context.Context, env actions.Env) error {
	c, err := d.cluster(env)
	if err != nil {
		return err
	}
	if err := c.Allowed(ctx, d.Access()); err != nil {
		return err
	}
	_, err = d.look(ctx, c)
	return err
}

func (d *Drain) cluster(env actions.Env) (*cluster.Cluster, error) {
	if err := d.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	return cluster.Of(env)
}

// Plan says which pods would end, how long they may take, and who counts on them. Whether the traffic has left them is asked
// when the step runs: an earlier step of the same plan moves it.
func (d *Drain) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	c, err := d.cluster(env)
	if err != nil {
		return actions.Change{}, err
	}
	v, err := d.look(ctx, c)
	if err != nil {
		return actions.Change{}, err
	}
	if err := c.Under(ctx, v.obj, d.Under, false); err != nil {
		return actions.Change{}, err
	}
	d.planned = v.found()
	change := actions.Change{Changes: true, Found: d.planned, Summary: fmt.Sprintf("drain %s: %s end within %s", d.ref(), countPods(len(v.pods)), d.longest(v))}
	if change.Diff, err = d.dryRun(ctx, env, c, v); err != nil {
		return actions.Change{}, err
	}
	change.Diff = append(change.Diff, d.notes(v)...)
	return change, nil
}

// dryRun asks the server for each write without storing it.
func (d *Drain) dryRun(ctx context.Context, env actions.Env, c *cluster.Cluster, v drainView) ([]string, error) {
	lines, err := v.pause(ctx, env, c, true)
	if err != nil {
		return nil, err
	}
	if v.replicas() == 0 {
		return append(lines, fmt.Sprintf("= %s spec.replicas: 0", d.ref())), nil
	}
	if err := d.scale(ctx, c, v, true); err != nil {
		return nil, err
	}
	return append(lines, fmt.Sprintf("~ %s spec.replicas: %d -> 0", d.ref(), v.replicas())), nil
}

// scale writes 0 replicas to the object that was read, if it still is as it was read.
func (d *Drain) scale(ctx context.Context, c *cluster.Cluster, v drainView, dry bool) error {
	_, err := c.MergePatch(ctx, d.ref(), map[string]any{
		"metadata": map[string]any{"uid": v.uid(), "resourceVersion": v.obj.GetResourceVersion()},
		"spec":     map[string]any{"replicas": 0},
	}, cluster.PatchOptions{Subresource: "scale", DryRun: dry})
	return err
}

// longest is how long the step may take: the time for connections, and then the pods' own.
func (d *Drain) longest(v drainView) time.Duration {
	return max(d.within()-v.grace, 0) + v.ending()
}

func (d *Drain) notes(v drainView) []string {
	lines := []string{fmt.Sprintf("= pods get %s to end once they are told to%s", v.grace, v.stops)}
	if first := d.within() - v.grace; first > 0 {
		lines = append(lines, fmt.Sprintf("= before that, established connections have %s more: the pods' own time is shorter than %s", first, d.within()))
	}
	for n, p := range v.pods {
		if n == maxShown {
			lines = append(lines, fmt.Sprintf("= and %s more", countPods(len(v.pods)-n)))
			break
		}
		lines = append(lines, "= pod "+p.name)
	}
	slices.Sort(v.notes)
	return append(lines, v.notes...)
}
