package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// drainView is what is to be drained as it was read, with those who count on it or scale it.
type drainView struct {
	rollout
	service *unstructured.Unstructured
	// pods are those of the object, those that end included.
	pods    []rolloutPod
	scalers scalers
	// grace is what the pods get to end; stops says what part of it their preStop hooks take.
	grace time.Duration
	stops string
	// notes are lines for the plan.
	notes []string
}

// look reads everything, and refuses what would harm others.
func (d *Drain) look(ctx context.Context, c *cluster.Cluster) (drainView, error) {
	var v drainView
	var err error
	if v.rollout, err = readRollout(ctx, c, d.ref()); err != nil {
		return v, err
	}
	if err := v.keepsItsData(); err != nil {
		return v, err
	}
	if v.service, err = c.Get(ctx, d.serviceRef()); err != nil {
		return v, err
	}
	if v.pods, err = v.rollout.pods(ctx, c); err != nil {
		return v, err
	}
	v.grace, v.stops = v.lasting()
	if v.scalers, err = v.readScalers(ctx, c); err != nil {
		return v, err
	}
	v.notes = append(v.notes, v.scalers.notes()...)
	return v, d.others(ctx, c, &v)
}

// keepsItsData refuses a StatefulSet whose volumes are deleted with its replicas: no drain gives them back.
func (v drainView) keepsItsData() error {
	if v.ref.Kind == statefulSet && v.text("spec", "persistentVolumeClaimRetentionPolicy", "whenScaled") == "Delete" {
		return actions.Permanent(fmt.Errorf("drain %s: its volumes would be deleted with its replicas (persistentVolumeClaimRetentionPolicy.whenScaled is Delete); set that to Retain first", v.ref))
	}
	return nil
}

// found covers which object it is and which version it runs. How many pods it has is left out: autoscalers change that.
func (v drainView) found() string {
	return cluster.Digest(map[string]any{"uid": v.uid(), "template": v.digest(), "service": v.service.GetUID()})
}

// lasting is the longest grace period of the pods that run, and what their preStop hooks take of it.
func (v drainView) lasting() (time.Duration, string) {
	specs := []map[string]any{subMap(v.obj.Object, "spec", "template", "spec")}
	for _, p := range v.pods {
		specs = append(specs, subMap(p.obj.Object, "spec"))
	}
	longest, stops := int64(0), ""
	for n, spec := range specs {
		seconds, set, _ := unstructured.NestedInt64(spec, "terminationGracePeriodSeconds")
		if !set {
			seconds = 30
		}
		if n > 0 || len(specs) == 1 { // what runs counts, the template where nothing runs
			longest = max(longest, seconds)
		}
		if hook := preStop(spec); hook != "" {
			stops = ", their preStop hook included (" + hook + ")"
		}
	}
	return time.Duration(longest) * time.Second, stops
}

func subMap(in map[string]any, path ...string) map[string]any {
	out, _, _ := unstructured.NestedMap(in, path...)
	return out
}

func preStop(spec map[string]any) string {
	containers, _, _ := unstructured.NestedSlice(spec, "containers")
	for _, c := range containers {
		hook := subMap(c.(map[string]any), "lifecycle", "preStop")
		if seconds, is, _ := unstructured.NestedInt64(hook, "sleep", "seconds"); is {
			return fmt.Sprintf("sleep %ds", seconds)
		}
		if len(hook) > 0 {
			return "a hook of its own"
		}
	}
	return ""
}

// ending is how long the pods may take to end: a StatefulSet ends them one after the other.
func (v drainView) ending() time.Duration {
	if v.ref.Kind == statefulSet && v.text("spec", "podManagementPolicy") != "Parallel" {
		return v.grace * time.Duration(max(len(v.pods), 1))
	}
	return v.grace
}

// others looks at who else counts on the pods: other Services, and budgets that say how many must be left.
func (d *Drain) others(ctx context.Context, c *cluster.Cluster, v *drainView) error {
	pods, err := c.List(ctx, "Pod", d.Namespace, "")
	if err != nil {
		return err
	}
	rest := v.without(pods)
	services, err := c.List(ctx, "Service", d.Namespace, "")
	if err != nil {
		return err
	}
	for _, s := range services {
		if err := d.leaves(s, v, rest); err != nil {
			return err
		}
	}
	budgets, err := c.List(ctx, "PodDisruptionBudget", d.Namespace, "")
	if err != nil {
		return err
	}
	for _, b := range budgets {
		note, err := v.keeps(b, rest)
		if err != nil {
			return err
		}
		v.notes = append(v.notes, note...)
	}
	return nil
}

// without are the pods that are not of the object, have not ended and were not told to.
func (v drainView) without(pods []unstructured.Unstructured) []rolloutPod {
	ours := map[string]bool{}
	for _, p := range v.pods {
		ours[p.uid] = true
	}
	var rest []rolloutPod
	for _, o := range pods {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		if !ours[string(o.GetUID())] && o.GetDeletionTimestamp() == nil && phase != "Succeeded" && phase != "Failed" {
			rest = append(rest, readRolloutPod(o))
		}
	}
	return rest
}

// picks says whether a selector chooses the pods that the object makes.
func (v drainView) picks(selector labels.Selector) bool {
	of, _, _ := unstructured.NestedStringMap(v.obj.Object, "spec", "template", "metadata", "labels")
	return selector.Matches(labels.Set(of)) || slices.ContainsFunc(v.pods, func(p rolloutPod) bool { return selector.Matches(labels.Set(p.obj.GetLabels())) })
}

// serves counts the ready pods that a selector chooses.
func serves(selector labels.Selector, pods []rolloutPod) int {
	n := 0
	for _, p := range pods {
		if p.ready && !p.going && selector.Matches(labels.Set(p.obj.GetLabels())) {
			n++
		}
	}
	return n
}

// leaves refuses to take the last ready pods from another Service.
func (d *Drain) leaves(service unstructured.Unstructured, v *drainView, rest []rolloutPod) error {
	of := selectorOf(&service)
	if len(of) == 0 || service.GetName() == d.Service {
		return nil
	}
	selector := labels.SelectorFromSet(of)
	if !v.picks(selector) {
		return nil
	}
	name, ours, theirs := cluster.RefOf(&service), serves(selector, v.pods), serves(selector, rest)
	switch {
	case slices.Contains(d.Preview, service.GetName()):
		v.notes = append(v.notes, fmt.Sprintf("= %s is for these pods: it is left with %s", name, countPods(theirs)))
	case ours > 0 && theirs == 0:
		return fmt.Errorf("drain %s: %s would lose its last ready pods; switch it, too, or write `preview: [%s]` if it is for these pods alone", d.ref(), name, service.GetName())
	default:
		v.notes = append(v.notes, fmt.Sprintf("= %s chooses these pods, too: it is left with %s", name, countPods(theirs)))
	}
	return nil
}

// left refuses while the Service leads to the pods, and while it leads to no others. It is asked last before each write: no
// version of the object that is scaled fences what another object says.
func (d *Drain) left(ctx context.Context, c *cluster.Cluster, v drainView) error {
	service, err := c.Get(ctx, d.serviceRef())
	if err != nil {
		return err
	}
	of := selectorOf(service)
	if len(of) > 0 && v.picks(labels.SelectorFromSet(of)) {
		return fmt.Errorf("drain %s: %s still chooses its pods (%s): switch the traffic first, with kubernetes/service-selector", d.ref(), d.serviceRef(), selectorText(of))
	}
	served, err := endpointsOf(ctx, c, d.Namespace, d.Service)
	if err != nil {
		return err
	}
	for _, p := range v.pods {
		if served[p.uid] != "" {
			return fmt.Errorf("drain %s: %s still leads to pod %s: its endpoints have not followed the switch yet", d.ref(), d.serviceRef(), p.name)
		}
	}
	if len(served) == 0 {
		return fmt.Errorf("drain %s: %s leads to no other pod: while these run, something answers", d.ref(), d.serviceRef())
	}
	return nil
}
