package cluster

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
)

// Above finds who would undo that an Application or an object of Flux is paused, and the robots that write its source. Active
// says of the former that the pause would not last, of the latter that they are at work.
func (c *Cluster) Above(ctx context.Context, of *unstructured.Unstructured) ([]Owner, error) {
	all, err := c.owners(ctx, of, Owner{})
	if err != nil {
		return nil, err
	}
	// Argo CD and Flux are often installed by themselves: who is paused does not undo that.
	itself := func(o Owner) bool { return o.Ref == RefOf(of) }
	all = slices.DeleteFunc(all, itself)
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
	return append(all, slices.DeleteFunc(robots, itself)...), err
}

// Stays finds who is above an object that is to be paused, and refuses when one of them would undo the pause: everyone but the
// one that `under` names, which an earlier step pauses, and when the step is running that one, too.
func (c *Cluster) Stays(ctx context.Context, of *unstructured.Unstructured, under string, running bool) ([]Owner, error) {
	named, err := parseUnder(under)
	if err != nil {
		return nil, actions.Permanent(err)
	}
	above, err := c.Above(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, o := range above {
		paused := named.is(o) && (!running || o.Elsewhere)
		if o.Active && o.Kind != ByImages && !paused {
			return nil, actions.Permanent(fmt.Errorf("the pause of %s would be undone by %s%s", RefOf(of), o, wayUp(o)))
		}
	}
	return above, nil
}

func wayUp(o Owner) string {
	if CheckUnder(o.Name()) != nil || o.Kind == ByController {
		return ""
	}
	return fmt.Sprintf("; let a step pause that first and write `under: %s` here", o.Name())
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
