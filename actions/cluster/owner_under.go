package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
)

// CheckUnder refuses what does not name an owner: argocd/NAMESPACE/NAME, flux/KIND/NAMESPACE/NAME, or
// controller/KIND/NAMESPACE/NAME. Empty names none.
func CheckUnder(under string) error {
	_, err := parseUnder(under)
	return err
}

// UnderAccess is the right to see whether the named owner is paused, of use in an action's Access.
func UnderAccess(under string) []actions.Access {
	named, err := parseUnder(under)
	if err != nil || under == "" || named.Kind == ByController {
		return nil
	}
	return []actions.Access{named.Ref.Access("get")}
}

func parseUnder(under string) (Owner, error) {
	if under == "" {
		return Owner{}, nil
	}
	parts := strings.Split(under, "/")
	o := Owner{Kind: parts[0]}
	known := false
	switch {
	case o.Kind == ByArgoCD && len(parts) == 3:
		o.Ref, known = ArgoApplication(parts[1], parts[2]), true
	case o.Kind == ByFlux && len(parts) == 4:
		o.Ref, known = FluxObject(parts[1], parts[2], parts[3])
		known = known && (parts[1] == "Kustomization" || parts[1] == "HelmRelease")
	case o.Kind == ByController && len(parts) == 4:
		o.Ref, known = Ref{parts[1], parts[2], parts[3]}, true
	}
	if !known {
		return Owner{}, fmt.Errorf("under: %.200q names no owner such as argocd/argocd/shop or flux/Kustomization/flux-system/shop", under)
	}
	if err := o.Ref.Validate(); err != nil {
		return Owner{}, fmt.Errorf("under: %w", err)
	}
	if o.Kind != ByController && o.Ref.Namespace == "" {
		return Owner{}, errors.New("under: the namespace is missing")
	}
	return o, nil
}

// Under refuses a write that somebody would undo. Every active owner of the object must be the one that `under` names, which
// an earlier step of the same procedure pauses; when the step is running it must be paused now. Ask it in Plan, and again in
// Run before the first write.
func (c *Cluster) Under(ctx context.Context, obj *unstructured.Unstructured, under string, running bool) error {
	named, err := parseUnder(under)
	if err != nil {
		return actions.Permanent(err)
	}
	all, err := c.owners(ctx, obj, named)
	if err != nil {
		return err
	}
	if under != "" && !slices.ContainsFunc(all, named.is) {
		return actions.Permanent(fmt.Errorf("under: %s does not keep %s; %s", under, RefOf(obj), others(all)))
	}
	for _, o := range all {
		switch {
		case !o.Active, named.is(o) && (!running || o.Elsewhere || o.Kind == ByController):
		case named.is(o):
			return actions.Permanent(fmt.Errorf("%s would undo this now: %s; nothing is written while it is not paused", o.Ref, o.Why))
		default:
			return actions.Permanent(undoes(o, obj))
		}
	}
	return nil
}

// is says whether two name the same owner.
func (o Owner) is(other Owner) bool {
	kind, _ := splitKind(o.Ref.Kind)
	theirs, _ := splitKind(other.Ref.Kind)
	return o.Kind == other.Kind && kind == theirs && o.Ref.Name == other.Ref.Name && o.Ref.Namespace == other.Ref.Namespace
}

func others(all []Owner) string {
	if len(all) == 0 {
		return "nobody was found who does: leave `under` out"
	}
	var names []string
	for _, o := range all {
		names = append(names, o.Name())
	}
	return "it is kept by " + strings.Join(names, " and ")
}

func undoes(o Owner, obj *unstructured.Unstructured) error {
	kind, _ := splitKind(o.Ref.Kind)
	way := fmt.Sprintf("change %s instead, or write `under: %s` here if it does not put this back", o.Ref, o.Name())
	switch o.Kind {
	case ByArgoCD:
		way = fmt.Sprintf("add the step argocd/pause {namespace: %s, application: %s} before this one and argocd/resume at the end, and write `under: %s` here",
			o.Ref.Namespace, o.Ref.Name, o.Name())
	case ByFlux:
		way = fmt.Sprintf("add the step flux/suspend {kind: %s, namespace: %s, name: %s} before this one and flux/resume at the end, and write `under: %s` here",
			kind, o.Ref.Namespace, o.Ref.Name, o.Name())
	}
	return fmt.Errorf("%s would be put back by %s; %s", RefOf(obj), o, way)
}
