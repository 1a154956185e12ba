package cluster

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Above finds who would undo that an Application or an object of Flux is paused, and the robots that write its source. Active
// says of the former that the pause would not last, of the latter that they are at work.
func (c *Cluster) Above(ctx context.Context, of *unstructured.Unstructured) ([]Owner, error) {
	all, err := c.owners(ctx, of, Owner{})
	if err != nil {
		return nil, err
	}
	// Argo CD and Flux are often installed by themselves: who is paused does not undo that.
	all = slices.DeleteFunc(all, func(o Owner) bool { return o.Ref == RefOf(of) })
	for i := range all {
		all[i].Active, all[i].Why = resets(all[i], of)
	}
	if of.GetKind() == "Application" {
		if images := of.GetAnnotations()[imageList]; images != "" {
			all = append(all, Owner{Kind: ByImages, Ref: RefOf(of), Active: true, Why: "Argo CD Image Updater writes its image tags: let it ignore the bad tag, or it comes back"})
		}
		return all, nil
	}
	robots, err := c.automations(ctx, of)
	return append(all, robots...), err
}

// Resetting are those of Above that would undo the pause.
func Resetting(above []Owner) []Owner {
	var all []Owner
	for _, o := range above {
		if o.Active && o.Kind != ByImages {
			all = append(all, o)
		}
	}
	return all
}

// resets says whether an owner of an Application or of an object of Flux would undo that it is paused. What Flux applies keeps
// the fields that are not in Git; Argo CD compares the whole.
func resets(o Owner, of *unstructured.Unstructured) (bool, string) {
	pause := []string{"spec", "suspend"}
	if of.GetKind() == "Application" {
		pause = []string{"spec", "syncPolicy", "automated"}
	}
	switch {
	case !o.Active || o.object == nil:
		return o.Active, o.Why
	case o.Kind == ByFlux && !owns(of, "kustomize-controller", pause...) && !owns(of, "helm-controller", pause...):
		return false, o.Why + ", and Git does not say whether it is paused: a pause stays"
	case o.Kind == ByFlux:
		return true, o.Why + ", with what Git says of the pause: suspend this one, too"
	}
	return true, o.Why
}
