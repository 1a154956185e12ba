package manifest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const maxLines = 400

// Plan renders the commit, tries everything as a dry run and shows object by object what would change.
func (r *Revert) Plan(ctx context.Context, env actions.Env) (actions.Change, error) {
	s, err := r.look(ctx, env)
	if err != nil {
		return actions.Change{}, err
	}
	r.planned = s.found()
	return actions.Change{Changes: true, Summary: s.summary(), Diff: s.diff(), Found: r.planned}, nil
}

func (s *set) summary() string {
	text := fmt.Sprintf("manifests of %s at %.12s as %s: ", s.r.Path, s.commit, s.manager)
	if n := len(s.changed()); n > 0 {
		return text + fmt.Sprintf("%d of %d objects change", n, len(s.items))
	}
	return text + fmt.Sprintf("all %d objects are so already", len(s.items))
}

func (s *set) changed() []*item {
	var all []*item
	for _, it := range s.items {
		if len(s.differs(it)) > 0 {
			all = append(all, it)
		}
	}
	return all
}

func (s *set) diff() []string {
	var lines []string
	for _, it := range s.items {
		differs := s.differs(it)
		if len(differs) == 0 {
			lines = append(lines, "= "+it.ref.String()+" is so already")
		}
		for _, c := range it.taken {
			if !slices.Contains(it.adopt, c.Manager) {
				lines = append(lines, fmt.Sprintf("~ %s takes %s from %s", it.ref, strings.TrimPrefix(c.Field, "."), c.Manager))
			}
		}
		lines = append(append(lines, differs...), it.notes...)
	}
	lines = append(lines, s.notes...)
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines], fmt.Sprintf("~ and %d more lines", more))
	}
	return lines
}

// found covers what was rendered, and of each object which one it is and all that the manifest is about. Versions and
// generations of objects are left out: every status moves them.
func (s *set) found() string {
	facts := map[string]any{"rendered": s.rendered, "manager": s.manager}
	for _, it := range s.items {
		facts[it.ref.String()] = cluster.Digest(it.state())
	}
	return cluster.Digest(facts)
}

// Ready says whether the commit is there and renders, and whether the rights are granted to apply it.
func (r *Revert) Ready(ctx context.Context, env actions.Env) error {
	s, err := r.goal(ctx, env)
	if err != nil {
		return err
	}
	return s.cluster.Allowed(ctx, r.Access())
}
