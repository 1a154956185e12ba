package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"astern.dev/astern/actions"
)

// attempts is how often a write that lost a race against the object's own status is begun again.
const attempts = 5

// Op is one operation of a JSON Patch.
type Op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// MarshalJSON keeps a null value of the operations that have one: `test` for null is not `test` for nothing.
func (o Op) MarshalJSON() ([]byte, error) {
	if o.Op == "remove" {
		return json.Marshal(map[string]any{"op": o.Op, "path": o.Path})
	}
	return json.Marshal(map[string]any{"op": o.Op, "path": o.Path, "value": o.Value})
}

// Fence gives the operations with which each JSON Patch begins: the object is this one, unchanged since it was read.
func Fence(read *unstructured.Unstructured) []Op {
	return []Op{
		{"test", "/metadata/uid", string(read.GetUID())},
		{"test", "/metadata/resourceVersion", read.GetResourceVersion()},
	}
}

// PatchOptions are what a patch needs beside its body.
type PatchOptions struct {
	// DryRun asks the server to do everything but store it.
	DryRun bool
	// Subresource such as scale or status; empty for the object itself.
	Subresource string
	// Manager is the field manager; "astern" without a word.
	Manager string
}

// ApplyOptions are what a server-side apply needs beside the object.
type ApplyOptions struct {
	Manager       string
	DryRun, Force bool
}

// CreateOptions are what a creation needs beside the object.
type CreateOptions struct {
	Manager string
	DryRun  bool
}

// DeleteOptions fence a deletion; GraceSeconds of nil leaves the object's own.
type DeleteOptions struct {
	UID, ResourceVersion string
	GraceSeconds         *int64
	// Background leaves the dependents to the garbage collector; without it the server's default for the kind counts.
	Background bool
	DryRun     bool
}

// JSONPatch changes an object by operations; begin them with Fence. A failed test is ErrMoved.
func (c *Cluster) JSONPatch(ctx context.Context, ref Ref, ops []Op, options PatchOptions) (*unstructured.Unstructured, error) {
	return c.patch(ctx, ref, types.JSONPatchType, ops, options)
}

// MergePatch merges body into an object. A body with metadata.resourceVersion is ErrMoved when the object has another.
func (c *Cluster) MergePatch(ctx context.Context, ref Ref, body map[string]any, options PatchOptions) (*unstructured.Unstructured, error) {
	return c.patch(ctx, ref, types.MergePatchType, body, options)
}

func (c *Cluster) patch(ctx context.Context, ref Ref, how types.PatchType, body any, options PatchOptions) (*unstructured.Unstructured, error) {
	at, kind, err := c.at(ctx, ref)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, actions.Permanent(fmt.Errorf("patch %s: %w", ref, err))
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	after, err := at.Patch(ctx, ref.Name, how, raw, metav1.PatchOptions{
		FieldManager: manager(options.Manager), FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun(options.DryRun),
	}, parts(options.Subresource)...)
	if err != nil {
		return nil, c.failed(call{verb: "patch", ref: ref, kind: kind, sub: options.Subresource, dry: options.DryRun, jsonPatch: how == types.JSONPatchType}, err)
	}
	return after, nil
}

// Apply applies an object on the server's side. Without Force a field that another manager owns is a *ConflictError. An
// object with metadata.resourceVersion is ErrMoved when the server has another.
func (c *Cluster) Apply(ctx context.Context, obj *unstructured.Unstructured, options ApplyOptions) (*unstructured.Unstructured, error) {
	kind, err := c.KindOf(ctx, obj.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	ref := RefOf(obj)
	if err := ref.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	at, err := c.in(kind, ref.Namespace)
	if err != nil {
		return nil, err
	}
	clean := obj.DeepCopy()
	clean.SetManagedFields(nil)
	ctx, cancel := c.bound(ctx)
	defer cancel()
	raw, err := json.Marshal(clean.Object)
	if err != nil {
		return nil, actions.Permanent(fmt.Errorf("apply %s: %w", ref, err))
	}
	force := options.Force
	after, err := at.Patch(ctx, ref.Name, types.ApplyPatchType, raw, metav1.PatchOptions{
		FieldManager: manager(options.Manager), FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun(options.DryRun), Force: &force,
	})
	if err != nil {
		return nil, c.failed(call{verb: "patch", ref: ref, kind: kind, dry: options.DryRun}, err)
	}
	return after, nil
}

// Create makes a new object. IsAlreadyExists tells that there is one of the name.
func (c *Cluster) Create(ctx context.Context, obj *unstructured.Unstructured, options CreateOptions) (*unstructured.Unstructured, error) {
	kind, err := c.KindOf(ctx, obj.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	at, err := c.in(kind, obj.GetNamespace())
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	after, err := at.Create(ctx, obj, metav1.CreateOptions{
		FieldManager: manager(options.Manager), FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun(options.DryRun),
	})
	if err != nil {
		return nil, c.failed(call{verb: "create", ref: RefOf(obj), kind: kind, dry: options.DryRun}, err)
	}
	return after, nil
}

// Delete deletes an object. One that is gone already is IsNotFound; one of another uid or resourceVersion is ErrMoved.
func (c *Cluster) Delete(ctx context.Context, ref Ref, options DeleteOptions) error {
	at, kind, err := c.at(ctx, ref)
	if err != nil {
		return err
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	if err := at.Delete(ctx, ref.Name, options.request()); err != nil {
		return c.failed(call{verb: "delete", ref: ref, kind: kind, dry: options.DryRun}, err)
	}
	return nil
}

func (o DeleteOptions) request() metav1.DeleteOptions {
	request := metav1.DeleteOptions{GracePeriodSeconds: o.GraceSeconds, DryRun: dryRun(o.DryRun)}
	if o.UID != "" || o.ResourceVersion != "" {
		request.Preconditions = &metav1.Preconditions{}
	}
	if o.UID != "" {
		uid := types.UID(o.UID)
		request.Preconditions.UID = &uid
	}
	if o.ResourceVersion != "" {
		request.Preconditions.ResourceVersion = &o.ResourceVersion
	}
	if o.Background {
		background := metav1.DeletePropagationBackground
		request.PropagationPolicy = &background
	}
	return request
}

// Again runs write, which reads before it writes, anew while it says ErrMoved, some times at most: status writes move an
// object's resourceVersion all the time. write itself must stop when what it depends on has changed.
func Again(ctx context.Context, write func(context.Context) error) error {
	var err error
	for range attempts {
		if err = write(ctx); !errors.Is(err, ErrMoved) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func manager(name string) string {
	if name == "" {
		return defaultManager
	}
	return name
}

func dryRun(dry bool) []string {
	if dry {
		return []string{metav1.DryRunAll}
	}
	return nil
}
