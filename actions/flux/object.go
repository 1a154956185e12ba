package flux

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	requestedKey = "reconcile.fluxcd.io/requestedAt"
	forceKey     = "reconcile.fluxcd.io/forceAt"
	resetKey     = "reconcile.fluxcd.io/resetAt"
)

// fluxed is an object of Flux as it was read.
type fluxed struct {
	object *unstructured.Unstructured
	content
}

// content is what is read of it, whatever its kind.
type content struct {
	Spec struct {
		Suspend   *bool     `json:"suspend,omitempty"`
		SourceRef sourceRef `json:"sourceRef,omitempty"`
		Chart     struct {
			Spec struct {
				Version   string    `json:"version,omitempty"`
				SourceRef sourceRef `json:"sourceRef,omitempty"`
			} `json:"spec,omitempty"`
		} `json:"chart,omitempty"`
	} `json:"spec,omitempty"`
	Status struct {
		ObservedGeneration     int64  `json:"observedGeneration,omitempty"`
		LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
		LastHandledForceAt     string `json:"lastHandledForceAt,omitempty"`
		LastHandledResetAt     string `json:"lastHandledResetAt,omitempty"`
		LastAppliedRevision    string `json:"lastAppliedRevision,omitempty"`
		LastAttemptedRevision  string `json:"lastAttemptedRevision,omitempty"`
		Artifact               struct {
			Revision string `json:"revision,omitempty"`
		} `json:"artifact,omitempty"`
		History []struct {
			ChartVersion string `json:"chartVersion,omitempty"`
		} `json:"history,omitempty"`
		Conditions []condition `json:"conditions,omitempty"`
	} `json:"status,omitempty"`
}

type sourceRef struct {
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// onObject is an action on one object of Flux.
type onObject interface {
	Validate() error
	ref() cluster.Ref
}

// look reads the object of an action whose parameters are right.
func look(ctx context.Context, env actions.Env, a onObject) (*cluster.Cluster, fluxed, error) {
	if err := a.Validate(); err != nil {
		return nil, fluxed{}, actions.Permanent(err)
	}
	c, err := cluster.Of(env)
	if err != nil {
		return nil, fluxed{}, err
	}
	f, err := read(ctx, c, a.ref())
	return c, f, err
}

func read(ctx context.Context, c *cluster.Cluster, ref cluster.Ref) (fluxed, error) {
	obj, err := c.Get(ctx, ref)
	if err != nil {
		return fluxed{}, err
	}
	f := fluxed{object: obj}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &f.content); err != nil {
		return fluxed{}, actions.Permanent(fmt.Errorf("%s is not as Flux writes it: %w", ref, err))
	}
	return f, nil
}

func (f fluxed) ref() cluster.Ref { return cluster.RefOf(f.object) }

func (f fluxed) suspended() bool { return f.Spec.Suspend != nil && *f.Spec.Suspend }

// found is the digest of what the object is to do; whether it is suspended is left out, for an earlier step may change that.
func (f fluxed) found() string {
	spec, _, _ := unstructured.NestedMap(f.object.Object, "spec")
	delete(spec, "suspend")
	return cluster.Digest(map[string]any{"uid": string(f.object.GetUID()), "spec": spec})
}

func (f fluxed) condition(kind string) condition {
	for _, c := range f.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return condition{}
}

// running says that the controller is at work, and on what. What failed and waits for its next try is not under way, and
// while health is awaited everything is applied.
func (f fluxed) running() (string, bool) {
	c := f.condition("Reconciling")
	under := c.Status == "True" && c.Reason != "ProgressingWithRetry" && !strings.HasPrefix(c.Message, "Running health checks")
	return c.Message, under
}

// observed says that the controller has seen the object as it is written now.
func (f fluxed) observed() bool { return f.Status.ObservedGeneration == f.object.GetGeneration() }

// at are the revisions that the object is at, or tries to be at; the first is the one that was reached.
func (f fluxed) at() []string {
	var all []string
	add := func(revision string) {
		if revision != "" {
			all = append(all, revision)
		}
	}
	if f.object.GetKind() == "HelmRelease" && len(f.Status.History) > 0 {
		add(f.Status.History[0].ChartVersion)
	}
	add(f.Status.LastAppliedRevision)
	add(f.Status.Artifact.Revision)
	add(f.Status.LastAttemptedRevision)
	return all
}

// reached is the revision that is in place.
func (f fluxed) reached() string {
	if all := f.at(); len(all) > 0 {
		return all[0]
	}
	return "unknown"
}

// source names the source it reads, where that says its revision.
func (f fluxed) source() (cluster.Ref, bool) {
	from := f.Spec.SourceRef
	if f.object.GetKind() == "HelmRelease" {
		from = f.Spec.Chart.Spec.SourceRef
	}
	if f.object.GetKind() == "ImageUpdateAutomation" || from.Kind != "GitRepository" && from.Kind != "OCIRepository" {
		return cluster.Ref{}, false
	}
	if from.Namespace == "" {
		from.Namespace = f.object.GetNamespace()
	}
	return object(from.Kind, from.Namespace, from.Name), true
}

// desired is what the object will be at once it works: its source's revision, or the chart's version it asks for.
func (f fluxed) desired(ctx context.Context, c *cluster.Cluster) (string, fluxed, error) {
	ref, known := f.source()
	if !known {
		return f.Spec.Chart.Spec.Version, f, nil
	}
	source, err := read(ctx, c, ref)
	return source.Status.Artifact.Revision, source, err
}

// patch writes to the object as it was read, or not at all.
func (f fluxed) patch(ctx context.Context, c *cluster.Cluster, dry bool, annotations, spec map[string]any) (*unstructured.Unstructured, error) {
	metadata := map[string]any{"uid": string(f.object.GetUID()), "resourceVersion": f.object.GetResourceVersion()}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	body := map[string]any{"metadata": metadata}
	if spec != nil {
		body["spec"] = spec
	}
	return c.MergePatch(ctx, f.ref(), body, cluster.PatchOptions{DryRun: dry})
}

// byHand is the command that resumes it.
func byHand(ref cluster.Ref) string {
	kind := map[string]string{"Kustomization": "kustomization", "HelmRelease": "helmrelease", "GitRepository": "source git",
		"OCIRepository": "source oci", "ImageUpdateAutomation": "image update"}[strings.SplitN(ref.Kind, ".", 2)[0]]
	return fmt.Sprintf("flux resume %s %s -n %s", kind, ref.Name, ref.Namespace)
}

func line(o cluster.Owner) string { return "= " + o.String() }
