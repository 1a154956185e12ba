package kubernetes

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// missing names the objects that a template needs and that are gone.
func (u *Undo) missing(ctx context.Context, c *cluster.Cluster, template map[string]any) ([]string, error) {
	var gone []string
	for _, need := range cluster.Needs(template, u.Namespace) {
		if need.Kind == "Secret" && u.SecretsUnread {
			continue
		}
		there, err := c.Exists(ctx, need)
		if err != nil {
			return nil, err
		}
		if !there {
			gone = append(gone, need.String())
		}
	}
	return gone, nil
}

// checkNeeds refuses a goal whose configuration is gone: its pods would not start.
func (u *Undo) checkNeeds(ctx context.Context, c *cluster.Cluster, to revision) error {
	gone, err := u.missing(ctx, c, to.template)
	if err != nil {
		return fmt.Errorf("undo %s: what the version before needs cannot be looked for: %w", u.ref(), err)
	}
	if len(gone) == 0 {
		return nil
	}
	return actions.Permanent(fmt.Errorf("undo %s: the template of revision %d needs what is gone: %s; put it back first, or apply the whole manifest out of Git (manifest/revert)",
		u.ref(), to.number, strings.Join(gone, ", ")))
}

func text(in map[string]any, key string) string {
	s, _ := in[key].(string)
	return s
}

// copied is the map under a key, to be changed.
func copied(in map[string]any, key string) map[string]any {
	found, _, _ := unstructured.NestedMap(in, key)
	return found
}
