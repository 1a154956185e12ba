package manifest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// set is the manifests of the commit beside what stands in the cluster in their place.
type set struct {
	r        *Revert
	cluster  *cluster.Cluster
	commit   string
	how      string // they were rendered
	rendered string // the digest of it
	manager  string
	scaled   map[cluster.Ref]string // by which autoscaler
	items    []*item
	notes    []string
}

// item is one manifest.
type item struct {
	ref    cluster.Ref
	goal   *unstructured.Unstructured
	live   *unstructured.Unstructured // nil: there is none
	owners []owner                    // of live
	body   *unstructured.Unstructured // what is sent: the goal, and what is left to others
	after  *unstructured.Unstructured // what the server would make of it
	adopt  []string                   // managers by update whose fields become the manager's
	taken  []cluster.FieldConflict    // from managers that the step may take from
	left   bool                       // spec.replicas is somebody else's
	notes  []string
}

func (s *set) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (it *item) note(format string, args ...any) {
	it.notes = append(it.notes, "= "+it.ref.String()+" "+fmt.Sprintf(format, args...))
}

// differs says line by line what the step would change of the object.
func (s *set) differs(it *item) []string {
	return cluster.Diff(s.ofOurs(it, it.live), s.ofOurs(it, it.after))
}

// ofOurs leaves out what others may write at any moment, between our reading and the dry run too: their labels and
// annotations, and the number of pods where it is left to them.
func (s *set) ofOurs(it *item, obj *unstructured.Unstructured) *unstructured.Unstructured {
	if obj == nil || it.live == nil {
		return obj
	}
	clean := obj.DeepCopy()
	for field, ours := range map[string]map[string]string{"labels": it.body.GetLabels(), "annotations": it.body.GetAnnotations()} {
		kept, _, _ := unstructured.NestedStringMap(clean.Object, "metadata", field)
		maps.DeleteFunc(kept, func(key, _ string) bool {
			_, is := ours[key]
			mine := func(o owner) bool { return s.mine(it, o) && o.owns("f:metadata", "f:"+field, "f:"+key) }
			return !is && !slices.ContainsFunc(it.owners, mine)
		})
		unstructured.RemoveNestedField(clean.Object, "metadata", field)
		if len(kept) > 0 {
			_ = unstructured.SetNestedStringMap(clean.Object, kept, "metadata", field) // metadata is a map
		}
	}
	if it.left {
		unstructured.RemoveNestedField(clean.Object, "spec", "replicas")
	}
	return clean
}

// look reads the commit and the cluster, and tries every object as a dry run. It writes nothing.
func (r *Revert) look(ctx context.Context, env actions.Env) (*set, error) {
	s, err := r.goal(ctx, env)
	if err != nil {
		return nil, err
	}
	for _, it := range s.items {
		if err := s.read(ctx, it); err != nil {
			return nil, err
		}
	}
	if s.manager, err = s.appliedBy(); err != nil {
		return nil, actions.Permanent(err)
	}
	if s.scaled, err = s.scalers(ctx); err != nil {
		return nil, err
	}
	if err := s.tryAll(ctx); err != nil {
		return nil, err
	}
	s.tags()
	return s, s.skew(ctx)
}

// goal renders the commit.
func (r *Revert) goal(ctx context.Context, env actions.Env) (*set, error) {
	if err := r.Validate(); err != nil {
		return nil, actions.Permanent(err)
	}
	c, err := cluster.Of(env)
	if err != nil {
		return nil, err
	}
	s := &set{r: r, cluster: c}
	goals, left, err := r.manifests(ctx, env, s)
	if err != nil {
		return nil, err
	}
	for _, obj := range goals {
		s.items = append(s.items, &item{ref: cluster.RefOf(obj), goal: obj})
	}
	for _, obj := range left {
		s.note("= %s %s is left as it is", obj.GetKind(), obj.GetName())
	}
	s.rendered = digestOf(goals)
	if r.From != "" {
		s.orphans(ctx, env)
	}
	return s, nil
}

func (r *Revert) manifests(ctx context.Context, env actions.Env, s *set) (goals, left []*unstructured.Unstructured, err error) {
	commit, t, err := source(ctx, env, r.Commit)
	if err != nil {
		return nil, nil, err
	}
	s.commit = commit
	rendered, how, err := r.render(ctx, t)
	if err == nil {
		s.how = how
		goals, left, err = r.goals(rendered)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		err = actions.Permanent(err) // the commit does not change
	}
	return goals, left, err
}

func digestOf(objects []*unstructured.Unstructured) string {
	var all []any
	for _, obj := range objects {
		all = append(all, obj.Object)
	}
	return cluster.Digest(all)
}

// orphans lists what the version to leave has and the goal has not. It stays: whether it can go is a person's question.
func (s *set) orphans(ctx context.Context, env actions.Env) {
	leaving := *s.r
	leaving.Commit, leaving.From = s.r.From, ""
	goals, _, err := leaving.manifests(ctx, env, &set{})
	if err != nil {
		s.note("= what the version to leave has more cannot be said: %s", printable([]byte(err.Error())))
		return
	}
	for _, obj := range goals {
		ref := cluster.RefOf(obj)
		if !slices.ContainsFunc(s.items, func(it *item) bool { return it.ref == ref }) {
			s.note("= %s is in %.12s alone: it stays", ref, leaving.Commit)
		}
	}
}

func (s *set) read(ctx context.Context, it *item) error {
	live, err := s.cluster.Get(ctx, it.ref)
	switch {
	case cluster.IsNotFound(err):
		it.live, it.owners = nil, nil
		return nil
	case err != nil:
		return err
	}
	if live.GetDeletionTimestamp() != nil {
		return fmt.Errorf("%s is being deleted: what is applied to it would go with it; wait until it is gone", it.ref)
	}
	it.live = live
	it.owners, err = ownersOf(live)
	return err
}

// prepare makes of a goal what is to be sent.
func (s *set) prepare(it *item) error {
	it.body, it.notes, it.left = it.goal.DeepCopy(), nil, false
	s.adopts(it)
	s.replicas(it)
	if err := s.pace(it); err != nil {
		return actions.Permanent(err)
	}
	s.marked(it)
	s.recorded(it)
	s.stays(it)
	it.unheld()
	return nil
}

// tryAll asks the server for each object what it would make of it. All objections are gathered: one must not hide another.
func (s *set) tryAll(ctx context.Context) error {
	var failed []error
	for _, it := range s.items {
		err := s.guarded(ctx, it, false)
		if err == nil {
			err = s.prepare(it)
		}
		if err == nil {
			err = s.try(ctx, it)
		}
		switch {
		case err == nil:
		case actions.IsPermanent(err):
			failed = append(failed, err)
		default:
			return err
		}
	}
	return errors.Join(failed...)
}

// guarded asks who would undo it.
func (s *set) guarded(ctx context.Context, it *item, running bool) error {
	if it.live == nil {
		return nil
	}
	if s.r.Under != "" && table[it.live.GetKind()].rank != workload {
		if _, kept, err := s.cluster.Owner(ctx, it.live); err != nil || !kept {
			return err
		}
	}
	return s.cluster.Under(ctx, it.live, s.r.Under, running)
}

// fenced is what is sent: for this object alone, and as it was read.
func (it *item) fenced() *unstructured.Unstructured {
	body := it.body.DeepCopy()
	if it.live != nil {
		body.SetUID(it.live.GetUID())
		body.SetResourceVersion(it.live.GetResourceVersion())
	}
	return body
}

// try is the dry run of one object.
func (s *set) try(ctx context.Context, it *item) error {
	options := cluster.ApplyOptions{Manager: s.manager, DryRun: true}
	after, err := s.cluster.Apply(ctx, it.body, options)
	var conflict *cluster.ConflictError
	it.taken = nil
	if errors.As(err, &conflict) {
		if refused := s.refused(it, conflict); len(refused) > 0 {
			return actions.Permanent(fmt.Errorf("%w: %s; after a change by hand, list the manager under `force`", &cluster.ConflictError{Ref: it.ref, Conflicts: refused}, "these fields are not the manager's own"))
		}
		it.taken, options.Force = conflict.Conflicts, true
		after, err = s.cluster.Apply(ctx, it.body, options)
	}
	if err != nil {
		return explained(it, err)
	}
	it.after, err = s.adopted(ctx, it, after)
	return explained(it, err)
}

// refused are the conflicts about fields that the step may not take.
func (s *set) refused(it *item, conflict *cluster.ConflictError) []cluster.FieldConflict {
	return slices.DeleteFunc(slices.Clone(conflict.Conflicts), func(c cluster.FieldConflict) bool {
		ours := c.Manager == ours && it.halted() && (strings.HasPrefix(c.Field, ".spec.paused") || strings.HasPrefix(c.Field, ".spec.updateStrategy"))
		resumed := s.r.Resume && c.Field == ".spec.paused"
		return ours || resumed || saysVersion(c.Field) || slices.Contains(it.adopt, c.Manager) || slices.Contains(s.r.Force, c.Manager) && c.Field != ".spec.replicas"
	})
}

// explained says what to do about a refusal, and keeps what a Secret holds out of its text.
func explained(it *item, err error) error {
	if err == nil {
		return nil
	}
	if it.ref.Kind == "Secret" && errors.Is(err, cluster.ErrInvalid) {
		return actions.Permanent(fmt.Errorf("apply %s: %w: its text is left out, as it may show what the Secret holds; try it with `kubectl apply --dry-run=server`", it.ref, cluster.ErrInvalid))
	}
	if errors.Is(err, cluster.ErrInvalid) && strings.Contains(err.Error(), "immutable") || strings.Contains(err.Error(), "Forbidden: updates to") {
		return actions.Permanent(fmt.Errorf("%w; what cannot be changed in place must be made anew, which is a person's decision", err))
	}
	return err
}
