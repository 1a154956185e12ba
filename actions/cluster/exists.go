package cluster

import (
	"context"

	"astern.dev/astern/actions"
)

// metadataOnly asks for an object without its content: what a Secret holds does not leave the API server.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

// Exists says whether an object is there, and reads nothing of it but its metadata.
func (c *Cluster) Exists(ctx context.Context, ref Ref) (bool, error) {
	if err := ref.Validate(); err != nil {
		return false, actions.Permanent(err)
	}
	kind, err := c.Kind(ctx, ref.Kind)
	if err != nil {
		return false, err
	}
	client, err := c.through()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err = client.Get().AbsPath(kind.path(ref)).SetHeader("Accept", metadataOnly).Do(ctx).Error()
	if IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, c.failed(call{verb: "get", ref: ref, kind: kind}, err)
	}
	return true, nil
}

// path is where the API server serves an object.
func (k Kind) path(ref Ref) string {
	root := "/apis/" + k.Group + "/" + k.Version
	if k.Group == "" {
		root = "/api/" + k.Version
	}
	if k.Namespaced {
		root += "/namespaces/" + ref.Namespace
	}
	return root + "/" + k.Resource + "/" + ref.Name
}
