package cluster

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"astern.dev/astern/actions"
)

const (
	page = 500
	// maxObjects bounds a listing: an action that would look at more has too wide a selector.
	maxObjects = 20_000
)

// Get reads an object as it is now, never from a cache.
func (c *Cluster) Get(ctx context.Context, ref Ref) (*unstructured.Unstructured, error) {
	return c.Subresource(ctx, ref, "")
}

// Subresource reads a part of an object that has its own path, such as scale.
func (c *Cluster) Subresource(ctx context.Context, ref Ref, name string) (*unstructured.Unstructured, error) {
	at, kind, err := c.at(ctx, ref)
	if err != nil {
		return nil, err
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	obj, err := at.Get(ctx, ref.Name, metav1.GetOptions{}, parts(name)...)
	if err != nil {
		return nil, c.failed(call{verb: "get", ref: ref, kind: kind, sub: name}, err)
	}
	return obj, nil
}

// List reads the objects of a kind in a namespace (in all of them when it is empty) that the label selector picks, page by
// page and as they are now.
func (c *Cluster) List(ctx context.Context, kind, namespace, selector string) ([]unstructured.Unstructured, error) {
	k, err := c.Kind(ctx, kind)
	if err != nil {
		return nil, err
	}
	through, err := c.objects()
	if err != nil {
		return nil, err
	}
	var all []unstructured.Unstructured
	options := metav1.ListOptions{LabelSelector: selector, Limit: page}
	for {
		list, err := c.page(ctx, place(through, k, namespace), options)
		if err != nil {
			return nil, c.failed(call{verb: "list", ref: Ref{Kind: kind, Namespace: namespace}, kind: k}, err)
		}
		all = append(all, list.Items...)
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return all, nil
		}
		if len(all) >= maxObjects {
			return nil, actions.Permanent(fmt.Errorf("list %s in %s: more than %d objects; narrow the selector %q", k.Resource, namespace, maxObjects, selector))
		}
	}
}

func (c *Cluster) page(ctx context.Context, at dynamic.ResourceInterface, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	return at.List(ctx, options)
}

// Logs reads the end of what a container wrote, limit bytes at most.
func (c *Cluster) Logs(ctx context.Context, namespace, pod, container string, limit int) (string, error) {
	ref := Ref{"Pod", namespace, pod}
	query := map[string]string{"tailLines": "1000", "limitBytes": fmt.Sprint(limit)}
	if container != "" {
		query["container"] = container
	}
	body, err := c.raw(ctx, "/api/v1/namespaces/"+namespace+"/pods/"+pod+"/log", query)
	if err != nil {
		return "", c.failed(call{verb: "get", ref: ref, kind: builtin["Pod"], sub: "log"}, err)
	}
	return string(body), nil
}

// Until asks again and again until done says yes or ctx ends; the error then is that of ctx.
func Until(ctx context.Context, every time.Duration, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if yes, err := done(ctx); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Dynamic gives client-go's own dynamic client, for watches.
func (c *Cluster) Dynamic() (dynamic.Interface, error) { return c.objects() }

func (c *Cluster) at(ctx context.Context, ref Ref) (dynamic.ResourceInterface, Kind, error) {
	if err := ref.Validate(); err != nil {
		return nil, Kind{}, actions.Permanent(err)
	}
	kind, err := c.Kind(ctx, ref.Kind)
	if err != nil {
		return nil, Kind{}, err
	}
	at, err := c.in(kind, ref.Namespace)
	return at, kind, err
}

func (c *Cluster) in(kind Kind, namespace string) (dynamic.ResourceInterface, error) {
	switch {
	case kind.Namespaced && namespace == "":
		return nil, actions.Permanent(fmt.Errorf("%s: a namespace is required", kind.Kind))
	case !kind.Namespaced && namespace != "":
		return nil, actions.Permanent(fmt.Errorf("%s lies in no namespace, yet %s is named", kind.Kind, namespace))
	}
	through, err := c.objects()
	if err != nil {
		return nil, err
	}
	return place(through, kind, namespace), nil
}

func place(through dynamic.Interface, kind Kind, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return through.Resource(kind.resource())
	}
	return through.Resource(kind.resource()).Namespace(namespace)
}

func parts(subresource string) []string {
	if subresource == "" {
		return nil
	}
	return []string{subresource}
}
