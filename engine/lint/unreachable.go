package lint

import "slices"

// unreachable finds conditions that hold for no alert there can be.
func unreachable(w *world) {
	for _, s := range w.subjects {
		if s.branches == nil || slices.ContainsFunc(s.branches, branch.possible) {
			continue
		}
		why := s.branches[0].contradiction()
		if len(s.branches) > 1 {
			why = "none of its alternatives can hold: in the first, " + why
		}
		w.report(s.Node().Get("when"), "rule/unreachable", "the rule never matches: "+why, "")
	}
}
