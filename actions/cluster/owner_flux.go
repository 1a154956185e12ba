package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	kustomizeGroup    = "kustomize.toolkit.fluxcd.io"
	helmGroup         = "helm.toolkit.fluxcd.io"
	sourceGroup       = "source.toolkit.fluxcd.io"
	imageGroup        = "image.toolkit.fluxcd.io"
	kustomizationKind = "Kustomization." + kustomizeGroup
	helmReleaseKind   = "HelmRelease." + helmGroup
)

// fluxKinds are the kinds of Flux that can be suspended and decide what runs.
var fluxKinds = map[string]string{
	"Kustomization": kustomizeGroup, "HelmRelease": helmGroup,
	"GitRepository": sourceGroup, "OCIRepository": sourceGroup, "ImageUpdateAutomation": imageGroup,
}

// FluxObject names an object of Flux by its short kind; false for a kind that is not known.
func FluxObject(kind, namespace, name string) (Ref, bool) {
	group, known := fluxKinds[kind]
	return Ref{kind + "." + group, namespace, name}, known
}

// fluxOwners finds the Kustomization and the HelmRelease that keep an object: their labels say so, or the one that the user
// names lists it.
func (c *Cluster) fluxOwners(ctx context.Context, obj *unstructured.Unstructured, named Owner) ([]Owner, error) {
	var all []Owner
	for _, kind := range []string{kustomizationKind, helmReleaseKind} {
		_, group := splitKind(kind)
		ref := Ref{kind, obj.GetLabels()[group+"/namespace"], obj.GetLabels()[group+"/name"]}
		marked := ref.Name != "" && ref.Namespace != ""
		if !marked && (named.Kind != ByFlux || named.Ref.Kind != kind) {
			continue
		}
		if !marked {
			ref = named.Ref
		}
		if ref.Validate() != nil {
			continue
		}
		by, why, err := c.look(ctx, ref)
		switch {
		case err != nil:
			return nil, err
		case !marked && by == nil && why == notHere, !marked && by != nil && !inventoried(by, obj):
		case by == nil:
			all = append(all, Owner{Kind: ByFlux, Ref: ref, Active: true, Elsewhere: why == notHere, Why: "Flux keeps it by this, but " + why})
		default:
			all = append(all, ofFlux(by, obj))
		}
	}
	return all, nil
}

// inventoried says whether a Kustomization lists an object: namespace_name_group_kind.
func inventoried(by, obj *unstructured.Unstructured) bool {
	gvk := obj.GroupVersionKind()
	id := strings.Join([]string{obj.GetNamespace(), obj.GetName(), gvk.Group, gvk.Kind}, "_")
	entries, _, _ := unstructured.NestedSlice(by.Object, "status", "inventory", "entries")
	return slices.ContainsFunc(entries, func(e any) bool { entry, _ := e.(map[string]any); return entry["id"] == id })
}

func ofFlux(by, obj *unstructured.Unstructured) Owner {
	o := Owner{Kind: ByFlux, Ref: RefOf(by), object: by}
	suspended, _, _ := unstructured.NestedBool(by.Object, "spec", "suspend")
	drift, _, _ := unstructured.NestedString(by.Object, "spec", "driftDetection", "mode")
	every, _, _ := unstructured.NestedString(by.Object, "spec", "interval")
	switch {
	case suspended:
		o.Why = "it is suspended"
	case by.GetKind() == "Kustomization" && leftAlone(obj):
		o.Why = "the object's own annotation keeps Flux away from it"
	case by.GetKind() == "Kustomization":
		o.Active, o.Why = true, "Flux applies it again every "+every
	case drift == "enabled":
		o.Active, o.Why = true, "Flux corrects drift every "+every
	default:
		o.Active, o.Why = true, "Flux upgrades it again as soon as its chart, its values or the release's record changes"
	}
	return o
}

func leftAlone(obj *unstructured.Unstructured) bool {
	ssa := strings.ToLower(obj.GetAnnotations()[kustomizeGroup+"/ssa"])
	return strings.EqualFold(obj.GetAnnotations()[kustomizeGroup+"/reconcile"], "disabled") || ssa == "ignore" || ssa == "ifnotpresent"
}

// automations are the robots that write image tags into the repository that an object of Flux is applied from.
func (c *Cluster) automations(ctx context.Context, of *unstructured.Unstructured) ([]Owner, error) {
	source := sourceOf(of)
	if source.Name == "" {
		return nil, nil
	}
	kind := "ImageUpdateAutomation." + imageGroup
	all, err := c.List(ctx, kind, source.Namespace, "")
	switch {
	case isNoKind(err):
		return nil, nil
	case IsForbidden(err):
		return []Owner{{Kind: ByImages, Ref: Ref{kind, source.Namespace, "*"}, Active: true, Why: "whether image automation writes to the same repository is not known: astern may not list it"}}, nil
	case err != nil:
		return nil, err
	}
	var owners []Owner
	for i := range all {
		if to := sourceOf(&all[i]); to != source {
			continue
		}
		suspended, _, _ := unstructured.NestedBool(all[i].Object, "spec", "suspend")
		o := Owner{Kind: ByImages, Ref: RefOf(&all[i]), Active: !suspended, object: &all[i], Why: "writes image tags into the same repository: suspend it, too, or narrow its ImagePolicy, or it commits the bad tag again"}
		if suspended {
			o.Why = "writes image tags into the same repository; it is suspended"
		}
		owners = append(owners, o)
	}
	return owners, nil
}

// sourceOf is the GitRepository that an object of Flux reads or writes; its own name when it is one.
func sourceOf(of *unstructured.Unstructured) Ref {
	ref := Ref{"GitRepository", of.GetNamespace(), of.GetName()}
	if of.GetKind() == "GitRepository" {
		return ref
	}
	path := []string{"spec", "sourceRef"}
	if of.GetKind() == "HelmRelease" {
		path = []string{"spec", "chart", "spec", "sourceRef"}
	}
	read, _, _ := unstructured.NestedStringMap(of.Object, path...)
	if read["kind"] != "GitRepository" {
		return Ref{}
	}
	if read["namespace"] != "" {
		ref.Namespace = read["namespace"]
	}
	ref.Name = read["name"]
	return ref
}

// has says whether managed fields hold a path.
func has(raw []byte, path []string) bool {
	var fields map[string]json.RawMessage
	if len(path) == 0 {
		return true
	}
	if json.Unmarshal(raw, &fields) != nil {
		return false
	}
	next, there := fields["f:"+path[0]]
	return there && has(next, path[1:])
}
