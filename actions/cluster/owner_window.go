package cluster

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// SyncWindow is a sync window of an AppProject, as Argo CD writes it.
type SyncWindow struct {
	Kind           string   `json:"kind,omitempty"`
	Schedule       string   `json:"schedule,omitempty"`
	Duration       string   `json:"duration,omitempty"`
	Applications   []string `json:"applications,omitempty"`
	Namespaces     []string `json:"namespaces,omitempty"`
	Clusters       []string `json:"clusters,omitempty"`
	ManualSync     bool     `json:"manualSync,omitempty"`
	TimeZone       string   `json:"timeZone,omitempty"`
	UseAndOperator bool     `json:"andOperator,omitempty"`
	Description    string   `json:"description,omitempty"`
}

// Open says whether the window is open at a time, and until when.
func (w SyncWindow) Open(now time.Time) (bool, time.Time, error) {
	schedule, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(w.Schedule)
	if err != nil {
		return false, time.Time{}, fmt.Errorf("schedule %q: %w", w.Schedule, err)
	}
	lasts, err := time.ParseDuration(w.Duration)
	if err != nil {
		return false, time.Time{}, fmt.Errorf("duration %q: %w", w.Duration, err)
	}
	zone, err := time.LoadLocation(w.TimeZone)
	if err != nil {
		return false, time.Time{}, err
	}
	// Argo CD shifts the clock by the zone's offset and reckons in UTC.
	_, offset := now.In(zone).Zone()
	local := now.UTC().Add(time.Duration(offset) * time.Second)
	began := schedule.Next(local.Add(-lasts))
	if began.IsZero() || !began.Before(local) {
		return false, time.Time{}, nil
	}
	last := began
	for next := schedule.Next(last); next.Before(local) && !next.IsZero(); next = schedule.Next(last) {
		last = next
	}
	return true, last.Add(lasts).Add(-time.Duration(offset) * time.Second), nil
}

// WindowClosed says whether the sync windows of its AppProject keep an Application from being synced by itself now, and why, or
// why that is not known. What cannot be read keeps nothing.
func (c *Cluster) WindowClosed(ctx context.Context, app *unstructured.Unstructured) (bool, string) {
	project, why, err := c.look(ctx, ProjectOf(app))
	switch {
	case err != nil:
		return false, err.Error()
	case why == notAllowed:
		return false, "whether a window keeps it from that is not known: astern may not read " + ProjectOf(app).String()
	case project == nil:
		return false, ""
	}
	allowed, shut := false, ""
	for _, w := range Windows(project) {
		if !w.picks(app) {
			continue
		}
		open, until, err := w.Open(c.kinds.now())
		switch {
		case err != nil:
			return false, fmt.Sprintf("a window of AppProject %s cannot be reckoned: %v", project.GetName(), err)
		case w.Kind == "deny" && open:
			return true, fmt.Sprintf("a window of AppProject %s keeps it from syncing by itself until %s", project.GetName(), until.UTC().Format(time.RFC3339))
		case w.Kind == "allow" && open:
			allowed = true
		case w.Kind == "allow":
			shut = "it syncs by itself only in the windows of AppProject " + project.GetName() + ", and none is open"
		}
	}
	if allowed {
		shut = ""
	}
	return shut != "", shut
}

// ProjectOf names the AppProject of an Application: it lies where Argo CD does.
func ProjectOf(app *unstructured.Unstructured) Ref {
	name, _, _ := unstructured.NestedString(app.Object, "spec", "project")
	if name == "" {
		name = "default"
	}
	namespace, _, _ := unstructured.NestedString(app.Object, "status", "controllerNamespace")
	if namespace == "" {
		namespace = app.GetNamespace()
	}
	return Ref{"AppProject." + argoGroup, namespace, name}
}

// Windows are the sync windows of an AppProject.
func Windows(project *unstructured.Unstructured) []SyncWindow {
	var read struct {
		Spec struct {
			SyncWindows []SyncWindow `json:"syncWindows,omitempty"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(project.Object, &read); err != nil {
		return nil
	}
	return read.Spec.SyncWindows
}

// picks says whether a window is for an Application, as Argo CD reckons: any of its lists, or with `andOperator` each that is
// not empty.
func (w SyncWindow) picks(app *unstructured.Unstructured) bool {
	to := func(field string) string {
		value, _, _ := unstructured.NestedString(app.Object, "spec", "destination", field)
		return value
	}
	lists := []struct{ patterns, values []string }{
		{w.Applications, []string{app.GetName()}},
		{w.Clusters, []string{to("name"), to("server")}},
		{w.Namespaces, []string{to("namespace")}},
	}
	picked := false
	for _, l := range lists {
		if len(l.patterns) == 0 {
			continue
		}
		is := slices.ContainsFunc(l.patterns, func(p string) bool { return slices.ContainsFunc(l.values, glob(p)) })
		if !is && w.UseAndOperator {
			return false
		}
		picked = picked || is
	}
	return picked
}

// glob knows * and ?: a pattern with more matches nothing here.
func glob(pattern string) func(string) bool {
	text := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	matches := regexp.MustCompile("^" + text + "$")
	return func(value string) bool { return value != "" && matches.MatchString(value) }
}
