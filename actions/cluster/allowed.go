package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
)

// Allowed asks the API server for each right (SelfSubjectAccessReview) and names every one that is missing.
func (c *Cluster) Allowed(ctx context.Context, needed []actions.Access) error {
	var missing []string
	for _, access := range needed {
		for _, verb := range access.Verbs {
			yes, err := c.may(ctx, access, verb)
			if err != nil {
				return err
			}
			if !yes {
				missing = append(missing, verb+" "+describe(access))
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return actions.Permanent(fmt.Errorf("rights are missing at the API server: %s; `astern rbac` prints the Role that grants them", strings.Join(missing, ", ")))
}

func (c *Cluster) may(ctx context.Context, access actions.Access, verb string) (bool, error) {
	review := builtin["SelfSubjectAccessReview"]
	at, err := c.in(review, "")
	if err != nil {
		return false, err
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	answer, err := at.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": review.gvk().GroupVersion().String(), "kind": review.Kind,
		"spec": map[string]any{"resourceAttributes": map[string]any{
			"verb": verb, "group": access.Group, "resource": access.Resource, "subresource": access.Subresource,
			"namespace": access.Namespace, "name": access.Name,
		}},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, c.failed(call{verb: "create", kind: review, dry: true}, err)
	}
	yes, known, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	if err != nil || !known {
		return false, errors.New("ask for the right to " + verb + " " + describe(access) + ": the API server gave no answer")
	}
	return yes, nil
}

func describe(a actions.Access) string {
	what := resourceName(a.Group, a.Resource, a.Subresource)
	if a.Name != "" {
		what += " " + a.Name
	}
	if a.Namespace != "" {
		what += " in namespace " + a.Namespace
	}
	return what
}
