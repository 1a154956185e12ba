package expr

import (
	"fmt"
	"slices"
	"strings"
)

// Near is the hint for a name that is not among the known ones: `did you mean "x"?`, or a short list of what there is,
// or nothing when there is too much to list.
func Near(name string, known []string) string {
	best := nearest(name, known)
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %q?", best)
	case len(known) > 0 && len(known) <= 12:
		sorted := slices.Sorted(slices.Values(known))
		return "known: " + strings.Join(sorted, ", ")
	}
	return ""
}

// nearest is the known name that a misspelt one means; empty when none is near.
func nearest(name string, known []string) string {
	best, distance := "", max(1, (len([]rune(name))+1)/3)+1
	for _, k := range known {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// edits counts the insertions, deletions, replacements and swaps of neighbours between two names.
func edits(a, b string) int {
	s, t := []rune(a), []rune(b)
	if len(s) > 100 || len(t) > 100 {
		return len(s) + len(t)
	}
	before, row := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range s {
		next := make([]int, len(t)+1)
		next[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(t)]
}
