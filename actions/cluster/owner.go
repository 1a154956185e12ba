package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds of owner.
const (
	ByArgoCD     = "argocd"     // an Application, or the ApplicationSet that makes one
	ByFlux       = "flux"       // a Kustomization or a HelmRelease
	ByHelm       = "helm"       // a release that nobody keeps but who runs helm
	ByController = "controller" // another object that made this one and writes it again
	ByImages     = "images"     // a robot that writes image tags into the source
)

// maxClimb bounds how many owners above one another are followed.
const maxClimb = 5

// Owner is who else writes an object and would undo what astern writes to it.
type Owner struct {
	// Kind is one of ByArgoCD, ByFlux, ByHelm, ByController and ByImages.
	Kind string
	Ref  Ref
	// Active says that it would undo a change, now or at the next commit. Who cannot be read is taken to be active.
	Active bool
	// Elsewhere says that the owner is not in this cluster: nobody can tell here whether it is paused.
	Elsewhere bool
	// Why is one line that a person understands.
	Why string
	// Above are those who would undo that this owner is paused, and robots that write its source.
	Above []Owner

	object *unstructured.Unstructured
}

// Name is how the parameter `under` names the owner: argocd/NAMESPACE/NAME or flux/KIND/NAMESPACE/NAME.
func (o Owner) Name() string {
	kind, _ := splitKind(o.Ref.Kind)
	if o.Kind == ByArgoCD && kind == "Application" || o.Kind == ByHelm {
		return strings.Join([]string{o.Kind, o.Ref.Namespace, o.Ref.Name}, "/")
	}
	return strings.Join([]string{o.Kind, kind, o.Ref.Namespace, o.Ref.Name}, "/")
}

// String is one line about it.
func (o Owner) String() string { return o.Ref.String() + ": " + o.Why }

// Owner finds who would undo a change of the object: what GitOps tools wrote on it, and on the objects that made it. Of
// several an active one is given. False means that nobody was found.
func (c *Cluster) Owner(ctx context.Context, obj *unstructured.Unstructured) (Owner, bool, error) {
	all, err := c.owners(ctx, obj, Owner{})
	if err != nil || len(all) == 0 {
		return Owner{}, false, err
	}
	owner := all[max(0, slices.IndexFunc(all, func(o Owner) bool { return o.Active }))]
	if owner.object != nil {
		owner.Above, err = c.Above(ctx, owner.object)
	}
	return owner, true, err
}

// owners looks at the object and at those who made it, one above the other. named is an owner that the user says there is.
func (c *Cluster) owners(ctx context.Context, obj *unstructured.Unstructured, named Owner) ([]Owner, error) {
	var all []Owner
	for range maxClimb {
		direct, err := c.marks(ctx, obj, named)
		if err != nil {
			return nil, fmt.Errorf("find who would undo a change of %s: %w", RefOf(obj), err)
		}
		all = append(all, direct...)
		maker, owner, err := c.maker(ctx, obj)
		if err != nil {
			return nil, fmt.Errorf("find who would undo a change of %s: %w", RefOf(obj), err)
		}
		if owner.Kind != "" {
			all = append(all, owner)
		}
		if maker == nil {
			return all, nil
		}
		obj, named = maker, Owner{}
	}
	return all, nil
}

// marks are the owners that left their mark on the object itself.
func (c *Cluster) marks(ctx context.Context, obj *unstructured.Unstructured, named Owner) ([]Owner, error) {
	argo, err := c.argoOwner(ctx, obj, named)
	if err != nil {
		return nil, err
	}
	flux, err := c.fluxOwners(ctx, obj, named)
	if err != nil {
		return nil, err
	}
	all := append(argo, flux...)
	if release := obj.GetAnnotations()["meta.helm.sh/release-name"]; release != "" && len(all) == 0 {
		ref := Ref{"HelmRelease", obj.GetAnnotations()["meta.helm.sh/release-namespace"], release}
		all = append(all, Owner{Kind: ByHelm, Ref: ref, Why: "installed by helm: the next `helm upgrade` writes it again"})
	}
	return all, nil
}

// maker is the object that controls this one, and an owner where it is none of Kubernetes' own, which only do as their
// makers say.
func (c *Cluster) maker(ctx context.Context, obj *unstructured.Unstructured) (*unstructured.Unstructured, Owner, error) {
	by := metav1.GetControllerOf(obj)
	if by == nil {
		return nil, Owner{}, nil
	}
	gvk := schema.FromAPIVersionAndKind(by.APIVersion, by.Kind)
	ref := Ref{gvk.Kind, obj.GetNamespace(), by.Name}
	b, known := builtin[gvk.Kind]
	known = known && b.Group == gvk.Group
	if !known {
		ref.Kind += "." + gvk.Group
		kind, err := c.Kind(ctx, ref.Kind)
		if err == nil && !kind.Namespaced {
			ref.Namespace = ""
		}
	}
	maker, why, err := c.look(ctx, ref)
	switch {
	case err != nil:
		return nil, Owner{}, err
	case known:
		return maker, Owner{}, nil
	case gvk.Group == argoGroup && gvk.Kind == "ApplicationSet":
		return nil, applicationSet(ref, maker, why, obj), nil
	case maker == nil:
		return nil, Owner{Kind: ByController, Ref: ref, Active: true, Elsewhere: why == notHere, Why: "made it, and " + why}, nil
	}
	return maker, Owner{Kind: ByController, Ref: ref, Active: true, object: maker, Why: "made it and writes it again: change that object instead"}, nil
}

// why an owner cannot be read.
const (
	notHere    = "it is not in this cluster: it may work from another one"
	notAllowed = "astern may not read it: give it the right to get that object"
)

// look reads an object of somebody else's; why says what cannot be known when it cannot be read.
func (c *Cluster) look(ctx context.Context, ref Ref) (obj *unstructured.Unstructured, why string, err error) {
	obj, err = c.Get(ctx, ref)
	switch {
	case err == nil:
		return obj, "", nil
	case IsNotFound(err), isNoKind(err):
		return nil, notHere, nil
	case IsForbidden(err):
		return nil, notAllowed, nil
	}
	return nil, "", err
}

// owns says whether a field manager whose name begins so has set the field.
func owns(obj *unstructured.Unstructured, manager string, path ...string) bool {
	return slices.ContainsFunc(obj.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool {
		return strings.HasPrefix(f.Manager, manager) && f.FieldsV1 != nil && has(f.FieldsV1.GetRawBytes(), path)
	})
}
