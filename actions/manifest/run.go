package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

// Run tries everything once more and then writes what differs, config first. What was written stays when a later object
// fails: the error names both, and another attempt goes on from there.
func (r *Revert) Run(ctx context.Context, env actions.Env) (actions.Result, error) {
	s, err := r.look(ctx, env)
	if err != nil {
		return actions.Result{}, err
	}
	if r.planned != "" && r.planned != s.found() {
		return actions.Result{}, actions.Permanent(fmt.Errorf("manifests of %s: the objects or the manifests are no longer as the plan found them: nothing was written", r.Path))
	}
	did := actions.Result{Summary: s.summary(), Outputs: Outputs{s.commit, len(s.items), len(s.changed()), s.rendered}}
	if err := s.apply(ctx, env); err != nil {
		return actions.Result{}, err
	}
	return did, nil
}

func (s *set) apply(ctx context.Context, env actions.Env) error {
	changed := s.changed()
	for _, it := range changed {
		if err := s.guarded(ctx, it, true); err != nil {
			return err
		}
	}
	if err := s.claim(ctx, env, changed); err != nil {
		return err
	}
	for n, it := range changed {
		if env.Progress != nil {
			env.Progress(fmt.Sprintf("apply %s (%d of %d)", it.ref, n+1, len(changed)))
		}
		if err := s.write(ctx, it); err != nil {
			return half(changed, n, err)
		}
	}
	return nil
}

// claim takes the leases of the workloads, or of the first object where the set has none: whoever else goes for one of them
// sees it.
func (s *set) claim(ctx context.Context, env actions.Env, changed []*item) error {
	if len(changed) == 0 {
		return nil
	}
	claimed := slices.DeleteFunc(slices.Clone(s.items), func(it *item) bool { return table[it.goal.GetKind()].rank != workload })
	if len(claimed) == 0 {
		claimed = s.items[:1]
	}
	for _, it := range claimed {
		if err := s.cluster.Claim(ctx, env, it.ref); err != nil {
			return err
		}
	}
	return nil
}

// half says what of the set is written and what is not.
func half(changed []*item, n int, err error) error {
	names := func(items []*item) string {
		var all []string
		for _, it := range items {
			all = append(all, it.ref.String())
		}
		return strings.Join(all, ", ")
	}
	switch {
	case len(changed) == 1:
		return err
	case n == 0:
		return fmt.Errorf("none of %s is applied: %w", names(changed), err)
	}
	return fmt.Errorf("half applied: %s is as the commit has it, %s is not: %w", names(changed[:n]), names(changed[n:]), err)
}

// write applies one object, fenced by the version that was read. A status moves that, so it is read again, but what the
// manifest is about must be as it was when everything was tried.
func (s *set) write(ctx context.Context, it *item) error {
	before := cluster.Digest(it.state())
	return cluster.Again(ctx, func(ctx context.Context) error {
		err := s.once(ctx, it)
		if !errors.Is(err, cluster.ErrMoved) {
			return err
		}
		if failed := s.read(ctx, it); failed != nil {
			return failed
		}
		if failed := s.prepare(it); failed != nil {
			return failed
		}
		if cluster.Digest(it.state()) != before {
			return actions.Permanent(fmt.Errorf("%s: somebody changed it meanwhile: it is left as it is now", it.ref))
		}
		return err
	})
}

func (s *set) once(ctx context.Context, it *item) error {
	if len(it.adopt) > 0 {
		if err := s.adopt(ctx, it); err != nil {
			return err
		}
	}
	after, err := s.cluster.Apply(ctx, it.fenced(), cluster.ApplyOptions{Manager: s.manager, Force: len(it.taken) > 0})
	if err != nil || it.live == nil {
		return explained(it, err)
	}
	return explained(it, s.clean(ctx, it, after))
}

// adopt makes fields the manager's, which changes nothing but whose they are, and holds the server to what was planned: now
// that they are, the dry run says exactly what will go.
func (s *set) adopt(ctx context.Context, it *item) error {
	ops, err := s.adoption(it)
	if err != nil {
		return err
	}
	live, err := s.cluster.JSONPatch(ctx, it.ref, ops, cluster.PatchOptions{Manager: s.manager})
	if err != nil {
		return err
	}
	planned := s.ofOurs(it, it.after)
	it.live = live
	if it.owners, err = ownersOf(live); err != nil {
		return err
	}
	it.adopt = nil
	if err := s.try(ctx, it); err != nil {
		return err
	}
	if other := cluster.Diff(planned, s.ofOurs(it, it.after)); len(other) > 0 {
		return actions.Permanent(fmt.Errorf("%s: the server would make something else of it than was planned, so it is not applied: %s", it.ref, strings.Join(other, "; ")))
	}
	return nil
}

// Verify renders and tries again: where the server would change nothing, every object is as the commit has it.
func (r *Revert) Verify(ctx context.Context, env actions.Env) error {
	s, err := r.look(ctx, env)
	if err != nil {
		return err
	}
	changed := s.changed()
	if len(changed) == 0 {
		return nil
	}
	var all []string
	for _, it := range changed {
		differs := s.differs(it)
		text := strings.TrimLeft(differs[0], "+-~ ")
		if len(differs) > 1 {
			text += fmt.Sprintf(" (and %d more)", len(differs)-1)
		}
		all = append(all, text)
	}
	return actions.NotDone("not as commit %.12s has it: %s", s.commit, strings.Join(all, "; "))
}
