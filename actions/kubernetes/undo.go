package kubernetes

import (
	"context"
	"errors"
	"fmt"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const undoExample = `- name: undo
  uses: kubernetes/rollout-undo
  with:
    kind: "${target.workload.kind}"
    namespace: "${target.workload.namespace}"
    name: "${target.workload.name}"
    to: "${release.previous.vars.template}"
    from: "${release.current.vars.template}"
  timeout: 5m
  retry: {attempts: 3, backoff: 5s}
`

// Undo gives a Deployment, StatefulSet or DaemonSet the pod template of an earlier version, as its controller keeps it. The
// version is named by its content: where it is there already, nothing is written, so that an undo never toggles; and a
// revision that only restarted the same version is not the version before.
//
// Template, pace of the rollout (as it was before kubernetes/rollout-halt) and the annotations that name the version change
// in one write, or not at all when anything changed since the object was read. Replicas are left alone. Pods of a
// StatefulSet that keep it from rolling are deleted, one at a time; also where manifest/revert brought the template back
// before. It is refused when ConfigMaps, Secrets, volume claims or
// the service account that the earlier template names are gone, when a person paused the Deployment, and when the update
// strategy would replace no pod.
//
// Only the template goes back. For an object that is applied from manifests, manifest/revert restores all of it. What a later
// version of a StatefulSet wrote to its volumes the earlier one must be able to read: nobody but you knows that.
type Undo struct {
	// Kind is Deployment, StatefulSet or DaemonSet.
	Kind string `yaml:"kind"`
	// Namespace of the object.
	Namespace string `yaml:"namespace"`
	// Name of the object.
	Object string `yaml:"name"`
	// To is the version to go back to: the digest of its pod template (the release's var template), or the digest of an
	// image that it pins or that its pods run. Among several revisions with it the newest is taken.
	To string `yaml:"to"`
	// From is the version to leave, named in the same way. With it nothing is written when any other version is there.
	From string `yaml:"from,omitempty"`
	// Resume says that a Deployment which somebody else paused is resumed in the same write.
	Resume bool `yaml:"resume,omitempty"`
	// SecretsUnread leaves out the look whether the Secrets that the template names are there. astern then needs no right to
	// read Secrets; of those it looks for, it reads the metadata alone.
	SecretsUnread bool `yaml:"secrets_unread,omitempty"`
	// Under names the Argo CD or Flux object that would undo this and that an earlier step pauses, such as
	// argocd/argocd/shop or flux/Kustomization/flux-system/shop.
	Under string `yaml:"under,omitempty"`

	planned, wrote string
}

// UndoOutputs is what later steps can read.
type UndoOutputs struct {
	// Template is the digest of the pod template before the step.
	Template string `json:"template"`
	// Revision is the name of the ReplicaSet or ControllerRevision gone back to, empty where nothing was to do.
	Revision string `json:"revision,omitempty"`
	// Deleted are the stuck pods that were deleted.
	Deleted []string `json:"deleted,omitempty"`
}

// Name is kubernetes/rollout-undo.
func (u *Undo) Name() string { return "kubernetes/rollout-undo" }

// Outputs types steps.<name>.template.
func (u *Undo) Outputs() any { return UndoOutputs{} }

func (u *Undo) ref() cluster.Ref {
	return cluster.Ref{Kind: u.Kind, Namespace: u.Namespace, Name: u.Object}
}

// Validate checks the names and the digests.
func (u *Undo) Validate() error {
	failed := []error{checkRollout(u.ref()), cluster.CheckUnder(u.Under)}
	if u.To == "" {
		failed = append(failed, errors.New("to: is required"))
	} else {
		failed = append(failed, checkDigest("to", u.To))
	}
	if u.From != "" {
		failed = append(failed, checkDigest("from", u.From))
	}
	if u.From != "" && u.From == u.To {
		failed = append(failed, errors.New("from: is the same as to: there is nothing to go back to"))
	}
	return errors.Join(failed...)
}

// Access is to patch the one object, to read what its controller made, and to look for what the template names.
func (u *Undo) Access() []actions.Access {
	in := func(kind string, verbs ...string) actions.Access {
		return cluster.Ref{Kind: kind, Namespace: u.Namespace}.Access(verbs...)
	}
	all := append(cluster.ClaimAccess(u.ref()), u.ref().Access("get", "patch"))
	all = append(all, in("ConfigMap", "get"), in("ServiceAccount", "get"), in("PersistentVolumeClaim", "get"))
	if !u.SecretsUnread {
		all = append(all, in("Secret", "get"))
	}
	switch u.Kind {
	case deployment:
		all = append(all, in("ReplicaSet", "list"), in("Pod", "list"))
	case statefulSet:
		all = append(all, in("ControllerRevision", "list"), in("Pod", "list", "get", "delete"))
	default:
		all = append(all, in("ControllerRevision", "list"), in("Pod", "list"))
	}
	return append(all, cluster.UnderAccess(u.Under)...)
}

// Ready says whether the version to go back to is kept, all that its template needs is there, and the rights are granted.
func (u *Undo) Ready(ctx context.Context, env actions.Env) error {
	c, err := u.cluster(env)
	if err != nil {
		return err
	}
	if err := c.Allowed(ctx, u.Access()); err != nil {
		return err
	}
	v, err := u.look(ctx, env, c)
	if err != nil {
		return err
	}
	return c.Under(ctx, v.obj, u.Under, false)
}

func (u *Undo) cluster(env actions.Env) (*cluster.Cluster, error) {
	if err := u.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	return cluster.Of(env)
}

// undoView is what a look found: reached, or the goal and all that is needed to go there.
type undoView struct {
	rollout
	reached bool
	to      revision
	all     []revision
}

// look reads the object and its revisions and refuses what cannot be undone. It writes nothing.
func (u *Undo) look(ctx context.Context, env actions.Env, c *cluster.Cluster) (undoView, error) {
	r, err := readRollout(ctx, c, u.ref())
	if err != nil {
		return undoView{}, err
	}
	all, err := u.known(ctx, c, r)
	if err != nil {
		return undoView{}, err
	}
	v := undoView{rollout: r, all: all}
	if v.to, v.reached = now(r, all, u.To); v.reached {
		return v, nil
	}
	if err := u.leaves(r, all); err != nil {
		return undoView{}, err
	}
	var kept bool
	if v.to, kept = goal(all, u.To); !kept {
		return undoView{}, noGoal(r, all, u.To, env.Now())
	}
	if err := u.rollsAt(r, all, v.to); err != nil {
		return undoView{}, err
	}
	return v, u.checkNeeds(ctx, c, v.to)
}

// known reads the revisions, and which images their pods run.
func (u *Undo) known(ctx context.Context, c *cluster.Cluster, r rollout) ([]revision, error) {
	all, err := r.revisions(ctx, c)
	if err != nil {
		return nil, err
	}
	pods, err := r.podsOf(ctx, c, all)
	if err != nil {
		return nil, err
	}
	withImages(all, pods)
	return all, nil
}

// now is the present template as a revision, and whether it is the version that is meant.
func now(r rollout, all []revision, wanted string) (revision, bool) {
	present := revision{digest: r.digest(), template: r.template()}
	for _, v := range all {
		if v.digest == present.digest {
			present = v
			break
		}
	}
	return present, present.is(wanted)
}

// leaves refuses to undo what is not the version to leave: a newer deploy, or a person's work.
func (u *Undo) leaves(r rollout, all []revision) error {
	if _, fits := now(r, all, u.From); u.From != "" && !fits {
		return actions.Moved(actions.Permanent(fmt.Errorf("undo %s: it has the template %s, neither the version to leave (%s) nor the goal: somebody deployed meanwhile, so nothing is written%s", r.ref, r.digest(), u.From, r.goesOn())))
	}
	if record, ours := r.halted(); ours && record.Template != r.digest() {
		return actions.Moved(actions.Permanent(fmt.Errorf("undo %s: another template was set while it was halted: somebody deployed meanwhile, so nothing is written%s", r.ref, r.goesOn())))
	}
	return nil
}
