package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
)

const (
	// claimLasts is how long an installation that does not renew its claim keeps others away.
	claimLasts = 15 * time.Minute
	// renewAfter keeps a step with many writes from renewing at each.
	renewAfter = time.Minute
	tokenKey   = "astern.dev/token"
	objectKey  = "astern.dev/object"
	microTime  = "2006-01-02T15:04:05.000000Z07:00"
	maxName    = 63
)

// Claim takes or renews this installation's lease on an object (S3), so that a second installation, or a run of this one
// that was overtaken, does not write to it. Ask it before the first write. Without an installation there is no claim.
func (c *Cluster) Claim(ctx context.Context, env actions.Env, ref Ref) error {
	if env.Installation == "" {
		return nil
	}
	err := Again(ctx, func(ctx context.Context) error { return c.claim(ctx, env, ref) })
	if errors.Is(err, ErrMoved) {
		return fmt.Errorf("claim %s: others write its lease all the time: %w", ref, err)
	}
	return err
}

// ClaimAccess is the right that Claim needs, of use in an action's Access.
func ClaimAccess(ref Ref) []actions.Access {
	lease := leaseOf(ref)
	return []actions.Access{lease.Access("get", "patch"), Ref{lease.Kind, lease.Namespace, ""}.Access("create")}
}

func (c *Cluster) claim(ctx context.Context, env actions.Env, ref Ref) error {
	lease := leaseOf(ref)
	held, err := c.Get(ctx, lease)
	if IsNotFound(err) {
		_, err = c.Create(ctx, newLease(env, ref), CreateOptions{})
		if IsAlreadyExists(err) {
			return fmt.Errorf("claim %s: %w", ref, ErrMoved)
		}
		return err
	}
	if err != nil {
		return err
	}
	renew, err := judge(held, env, ref)
	if err != nil || !renew {
		return err
	}
	_, err = c.MergePatch(ctx, lease, renewed(held, env), PatchOptions{})
	return err
}

// judge says whether the lease is to be written, or who keeps it from us.
func judge(held *unstructured.Unstructured, env actions.Env, ref Ref) (renew bool, err error) {
	holder, _, _ := unstructured.NestedString(held.Object, "spec", "holderIdentity")
	at, ends := times(held)
	if holder != env.Installation {
		if holder != "" && env.Now().Before(ends) {
			return false, actions.Permanent(fmt.Errorf("%s is claimed by the installation %s until %s (%s); let it finish, or delete that lease if the installation is gone",
				ref, strconv.Quote(holder), ends.UTC().Format(time.RFC3339), leaseOf(ref)))
		}
		return true, nil
	}
	token, err := strconv.ParseInt(held.GetAnnotations()[tokenKey], 10, 64)
	if err == nil && token > env.Token {
		return false, actions.Permanent(fmt.Errorf("%s is claimed by a newer run of this installation (token %d, ours is %d): this one was overtaken", ref, token, env.Token))
	}
	return err != nil || token < env.Token || env.Now().Sub(at) >= renewAfter, nil
}

func times(held *unstructured.Unstructured) (renewedAt, ends time.Time) {
	text, _, _ := unstructured.NestedString(held.Object, "spec", "renewTime")
	seconds, _, _ := unstructured.NestedInt64(held.Object, "spec", "leaseDurationSeconds")
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, time.Time{}
	}
	return at, at.Add(time.Duration(seconds) * time.Second)
}

func newLease(env actions.Env, ref Ref) *unstructured.Unstructured {
	lease := leaseOf(ref)
	now := env.Now().UTC().Format(microTime)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
		"metadata": map[string]any{"name": lease.Name, "namespace": lease.Namespace,
			"annotations": map[string]any{tokenKey: strconv.FormatInt(env.Token, 10), objectKey: ref.String()}},
		"spec": map[string]any{"holderIdentity": env.Installation, "leaseDurationSeconds": int64(claimLasts / time.Second),
			"acquireTime": now, "renewTime": now, "leaseTransitions": int64(0)},
	}}
}

func renewed(held *unstructured.Unstructured, env actions.Env) map[string]any {
	now := env.Now().UTC().Format(microTime)
	spec := map[string]any{"holderIdentity": env.Installation, "leaseDurationSeconds": int64(claimLasts / time.Second), "renewTime": now}
	if holder, _, _ := unstructured.NestedString(held.Object, "spec", "holderIdentity"); holder != env.Installation {
		changes, _, _ := unstructured.NestedInt64(held.Object, "spec", "leaseTransitions")
		spec["acquireTime"], spec["leaseTransitions"] = now, changes+1
	}
	return map[string]any{
		"metadata": map[string]any{"uid": string(held.GetUID()), "resourceVersion": held.GetResourceVersion(),
			"annotations": map[string]any{tokenKey: strconv.FormatInt(env.Token, 10)}},
		"spec": spec,
	}
}

// leaseOf names the lease of an object: readable where it fits, else with the digest of the rest.
func leaseOf(ref Ref) Ref {
	namespace := ref.Namespace
	if namespace == "" {
		namespace = "default"
	}
	name := "astern-" + strings.ToLower(strings.ReplaceAll(ref.Kind, ".", "-")) + "-" + ref.Name
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(name))
		name = strings.TrimRight(name[:maxName-9], ".-") + "-" + hex.EncodeToString(sum[:4])
	}
	return Ref{"Lease", namespace, name}
}
