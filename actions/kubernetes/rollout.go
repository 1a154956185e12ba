package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	deployment  = "Deployment"
	statefulSet = "StatefulSet"
	daemonSet   = "DaemonSet"

	rollingUpdate = "RollingUpdate"
	onDelete      = "OnDelete"
)

var rolloutKinds = []string{deployment, statefulSet, daemonSet}

// checkRollout checks the parameters that every step of a rollout has.
func checkRollout(ref cluster.Ref) error {
	failed := []error{cluster.CheckNamespace("namespace", ref.Namespace), cluster.CheckName("name", ref.Name)}
	switch {
	case ref.Kind == "":
		failed = append(failed, errors.New("kind: is required"))
	case !slices.Contains(rolloutKinds, ref.Kind):
		failed = append(failed, fmt.Errorf("kind: %.80q rolls out nothing: it must be one of %s", ref.Kind, strings.Join(rolloutKinds, ", ")))
	}
	return errors.Join(failed...)
}

// rollout is a Deployment, a StatefulSet or a DaemonSet as it was read.
type rollout struct {
	ref cluster.Ref
	obj *unstructured.Unstructured
}

// readRollout reads the object as it is now.
func readRollout(ctx context.Context, c *cluster.Cluster, ref cluster.Ref) (rollout, error) {
	obj, err := c.Get(ctx, ref)
	if cluster.IsNotFound(err) {
		return rollout{}, actions.Permanent(err)
	}
	return rollout{ref, obj}, err
}

// mayWrite says whether nobody would undo a write now, and claims the object (S3).
func (r rollout) mayWrite(ctx context.Context, env actions.Env, c *cluster.Cluster, under string) error {
	if err := c.Under(ctx, r.obj, under, true); err != nil {
		return err
	}
	return c.Claim(ctx, env, r.ref)
}

// still reads the object once more right before a write. What lay between may have taken a while, and a rollout writes its
// status all the time; this leaves one request in which that can spoil the write.
func (r rollout) still(ctx context.Context, c *cluster.Cluster) (rollout, error) {
	fresh, err := readRollout(ctx, c, r.ref)
	if err == nil && fresh.meaning() != r.meaning() {
		return r, fmt.Errorf("%s: %w while the write was prepared", r.ref, cluster.ErrMoved)
	}
	return fresh, err
}

// meaning is the digest of all that a write may depend on: what persons and GitOps tools write, replicas left out.
func (r rollout) meaning() string {
	spec, _, _ := unstructured.NestedMap(r.obj.Object, "spec")
	delete(spec, "replicas")
	annotations := maps.Clone(r.obj.GetAnnotations())
	delete(annotations, revisionNumber)
	return cluster.Digest([]any{r.uid(), spec, annotations, r.obj.GetLabels(), r.obj.GetOwnerReferences()})
}

// template is the pod template as it stands in the object, a copy.
func (r rollout) template() map[string]any {
	template, _, _ := unstructured.NestedMap(r.obj.Object, "spec", "template")
	return template
}

// digest names the template by its content.
func (r rollout) digest() string {
	digest, err := cluster.TemplateDigest(r.template())
	if err != nil {
		return ""
	}
	return digest
}

func (r rollout) uid() string { return string(r.obj.GetUID()) }

func (r rollout) number(field ...string) int64 {
	n, _, _ := unstructured.NestedInt64(r.obj.Object, field...)
	return n
}

func (r rollout) text(field ...string) string {
	s, _, _ := unstructured.NestedString(r.obj.Object, field...)
	return s
}

// replicas is how many pods there should be. A DaemonSet has one for each fitting node.
func (r rollout) replicas() int64 {
	if r.ref.Kind == daemonSet {
		return r.number("status", "desiredNumberScheduled")
	}
	n, set, _ := unstructured.NestedInt64(r.obj.Object, "spec", "replicas")
	if !set {
		return 1
	}
	return n
}

// updated is how many pods have the present template, by the controller's own count.
func (r rollout) updated() int64 {
	if r.ref.Kind == daemonSet {
		return r.number("status", "updatedNumberScheduled")
	}
	return r.number("status", "updatedReplicas")
}

// seen says whether the controller has acted on what the spec says.
func (r rollout) seen() bool {
	return r.number("status", "observedGeneration") >= r.obj.GetGeneration()
}

// rolls says whether pods of another template than the present one are left to be replaced.
func (r rollout) rolls() bool {
	if !r.seen() {
		return true
	}
	if r.ref.Kind == statefulSet && r.text("status", "currentRevision") == r.text("status", "updateRevision") {
		return false
	}
	return r.updated() < r.replicas() || r.ref.Kind == deployment && r.number("status", "replicas") > r.updated()
}

// selector is the object's label selector as a listing takes it.
func (r rollout) selector() (string, error) {
	raw, _, _ := unstructured.NestedMap(r.obj.Object, "spec", "selector")
	var of metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &of); err != nil {
		return "", fmt.Errorf("%s: its selector cannot be read: %w", r.ref, err)
	}
	selector, err := metav1.LabelSelectorAsSelector(&of)
	if err != nil {
		return "", actions.Permanent(fmt.Errorf("%s: its selector cannot be read: %w", r.ref, err))
	}
	if selector.Empty() {
		return "", actions.Permanent(fmt.Errorf("%s: its selector is empty: its pods cannot be told from others", r.ref))
	}
	return selector.String(), nil
}

// owned lists the objects of a kind that a controller made for this object.
func (r rollout) owned(ctx context.Context, c *cluster.Cluster, kind string) ([]unstructured.Unstructured, error) {
	selector, err := r.selector()
	if err != nil {
		return nil, err
	}
	all, err := c.List(ctx, kind, r.ref.Namespace, selector)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(o unstructured.Unstructured) bool { return !metav1.IsControlledBy(&o, r.obj) }), nil
}

// untilSeen waits until the controller has acted on a write, and gives the object as it is then.
func untilSeen(ctx context.Context, c *cluster.Cluster, written rollout) (rollout, error) {
	now := written
	err := cluster.Until(ctx, lookAgain, func(ctx context.Context) (bool, error) {
		if now.seen() {
			return true, nil
		}
		obj, err := c.Get(ctx, written.ref)
		if err != nil {
			return false, err
		}
		if obj.GetUID() != written.obj.GetUID() {
			return false, actions.Permanent(fmt.Errorf("%s was deleted and made anew meanwhile", written.ref))
		}
		now = rollout{written.ref, obj}
		return now.seen(), nil
	})
	if err != nil {
		return now, fmt.Errorf("%s is written, but its controller has not acted on it (generation %d, seen %d): %w", written.ref,
			written.obj.GetGeneration(), now.number("status", "observedGeneration"), err)
	}
	return now, nil
}

// lookAgain is how long a look at a controller's work waits for the next.
const lookAgain = 250 * time.Millisecond
