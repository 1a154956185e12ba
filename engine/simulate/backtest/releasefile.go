package backtest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// ReadMappings reads a file that says which series tell of releases:
//
//	mappings:
//	  - {name: builds, query: 'max by (app, version) (app_build_info)', version: version, target: app, vars: {track: colour}}
func ReadMappings(path string, data []byte) ([]Mapping, expr.Diagnostics) {
	f, _ := expr.ParseFile(path, data)
	var all []Mapping
	for _, n := range f.Root().Map("mappings").Need("mappings").List() {
		n.Map("name", "query", "version", "target", "labels", "vars")
		m := Mapping{Name: n.Need("name").Str(), Query: strings.TrimSpace(n.Need("query").Str()), Version: n.Need("version").Str(), Target: n.Get("target").Str()}
		if n.Get("labels").Exists() {
			m.Labels = n.Get("labels").StringMap()
		}
		if n.Get("vars").Exists() {
			m.Vars = n.Get("vars").StringMap()
		}
		all = append(all, m)
	}
	return all, f.Diagnostics()
}

// ReadReleases reads a file of releases: YAML,
//
//	releases:
//	  - {target: api, version: v42, at: 2026-11-01T12:00:00Z, vars: {track: green}, rolled_back: 2026-11-01T12:31:00Z, by: ana}
//
// or CSV with these words as its first line, vars as `var.track`. rolled_back is when people moved the target back to what
// ran before. A verdict is what people said of the release: good makes a rollback of it wrong, bad makes it right. A line
// without `at` is such a word alone, on a release that Prometheus tells of.
func ReadReleases(path string, data []byte) (releases []Release, words []Word, err error) {
	var all []told
	if strings.EqualFold(filepath.Ext(path), ".csv") {
		all, err = readCSV(path, data)
	} else {
		all, err = readYAML(path, data)
	}
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(all, func(a, b told) int { return a.At.Compare(b.At) })
	last := map[string]string{}
	for _, r := range all {
		if r.Verdict != "" {
			words = append(words, Word{r.Target, r.Version, r.Verdict, r.By})
		}
		if r.At.IsZero() {
			continue
		}
		releases = append(releases, r.Release)
		if !r.left.IsZero() {
			if last[r.Target] == "" {
				return nil, nil, fmt.Errorf("%s: %s %s was rolled back, but nothing ran before it", r.place, r.Target, r.Version)
			}
			back := r.Release
			back.Version, back.At, back.Verdict, back.Vars = last[r.Target], r.left, "", nil
			releases = append(releases, back)
			continue // what ran before runs again
		}
		last[r.Target] = r.Version
	}
	return withVars(sorted(releases)), words, nil
}

// Word is what people said of a release.
type Word struct {
	Target, Version string
	Verdict         incident.Standing
	By              string
}

// withVars gives a version that comes back what was told of it.
func withVars(all []Release) []Release {
	known := map[string]Release{}
	for n, r := range all {
		key := r.Target + "\x00" + r.Version
		if r.Vars == nil {
			all[n].Vars = known[key].Vars
		}
		known[key] = all[n]
	}
	return all
}

// told is one line of a file.
type told struct {
	Release
	left  time.Time
	place string
}

func (r *told) check() error {
	switch {
	case r.Target == "":
		return fmt.Errorf("%s: a release needs a target", r.place)
	case r.Version == "":
		return fmt.Errorf("%s: a release needs a version", r.place)
	case r.At.IsZero() && (r.Verdict == "" || !r.left.IsZero()):
		return fmt.Errorf("%s: a release needs the time when its rollout ended: at", r.place)
	case !r.left.IsZero() && !r.left.After(r.At):
		return fmt.Errorf("%s: rolled_back must lie after at", r.place)
	case !slices.Contains([]incident.Standing{"", incident.Good, incident.Bad, incident.Denied, incident.Unknown}, r.Verdict):
		return fmt.Errorf("%s: verdict %q is not good, bad, denied or unknown", r.place, r.Verdict)
	}
	return nil
}

// set takes one field as text.
func (r *told) set(name, value string) (err error) {
	switch variable, isVar := strings.CutPrefix(name, "var."); {
	case value == "":
	case isVar:
		if r.Vars == nil {
			r.Vars = map[string]string{}
		}
		r.Vars[variable] = value
	case name == "target":
		r.Target = value
	case name == "version":
		r.Version = value
	case name == "at":
		r.At, err = readTime(value)
	case name == "rolled_back":
		r.left, err = readTime(value)
	case name == "by":
		r.By = value
	case name == "verdict":
		r.Verdict = incident.Standing(value)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", r.place, name, err)
	}
	return nil
}

func readTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is not a time such as 2026-11-01T12:00:00Z", text)
	}
	return at.UTC(), nil
}

var columns = []string{"target", "version", "at", "verdict", "by", "rolled_back"}

func readCSV(path string, data []byte) ([]told, error) {
	lines := csv.NewReader(bytes.NewReader(data))
	heads, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: its first line must name the columns target, version, at: %w", path, err)
	}
	for _, h := range heads {
		if !slices.Contains(columns, h) && !strings.HasPrefix(h, "var.") {
			return nil, fmt.Errorf("%s: there is no column %q; the columns are %s, var.NAME", path, h, strings.Join(columns, ", "))
		}
	}
	var all []told
	for {
		cells, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		line, _ := lines.FieldPos(0)
		r := told{place: fmt.Sprintf("%s:%d", path, line)}
		for n, h := range heads {
			if err := r.set(h, strings.TrimSpace(cells[n])); err != nil {
				return nil, err
			}
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
}

func readYAML(path string, data []byte) ([]told, error) {
	f, _ := expr.ParseFile(path, data)
	var all []told
	for _, n := range f.Root().Map("releases").Need("releases").List() {
		n.Map(append([]string{"vars"}, columns...)...)
		r := told{place: fmt.Sprintf("%s:%d", path, n.Line())}
		for _, name := range columns {
			if !n.Get(name).Exists() {
				continue
			}
			if err := r.set(name, n.Get(name).Scalar()); err != nil {
				n.Get(name).Report("release/value", err.Error(), "")
			}
		}
		if n.Get("vars").Exists() {
			r.Vars = n.Get("vars").StringMap()
		}
		if err := r.check(); err != nil && f.Diagnostics().Err() == nil {
			n.Report("release/value", err.Error(), "")
		}
		all = append(all, r)
	}
	return all, f.Diagnostics().Err()
}
