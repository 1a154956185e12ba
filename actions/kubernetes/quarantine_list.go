package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/cluster"
)

const (
	// maxQuarantined bounds what one step puts on the list, maxEntries the list: the API server goes through it at every
	// deployment.
	maxQuarantined, maxEntries = 20, 200
)

// list is the ConfigMap as it was read, and what this step makes of it.
type list struct {
	ref    cluster.Ref
	obj    *unstructured.Unstructured // nil when it is not there
	data   map[string]string
	remove bool
	items  []item
	patch  map[string]any // what is to be written, by key; nil takes the entry off
}

// item is one image of the step: what it is to become, and what there is of it.
type item struct {
	wanted entry
	was    string
	done   bool
}

// want holds one image against the list. What is there until later stays as it is; what this very step wrote is done.
func (l *list) want(e entry, now time.Time) {
	was, there := l.data[e.id()]
	i := item{wanted: e, was: was, done: !there}
	if !l.remove {
		has := parseEntry(was)
		i.done = there && has.image == e.image && has.until.After(now) && (has.key == e.key || !has.until.Before(e.until))
	}
	l.items = append(l.items, i)
	switch {
	case i.done:
	case l.remove:
		l.patch[e.id()] = nil
	default:
		l.patch[e.id()] = e.text()
	}
}

// full refuses what the list has no room for.
func (l *list) full() error {
	more := 0
	for key, value := range l.patch {
		if _, there := l.data[key]; value != nil && !there {
			more++
		}
	}
	if len(l.data)+more > maxEntries {
		return actions.Permanent(fmt.Errorf("%s has %d entries, and %d at most are read at every deployment: take off those that have ended", l.ref, len(l.data), maxEntries))
	}
	return nil
}

// found covers what the list says of the step's own images. Whether it is there, and what else is on it, changes nothing.
func (l *list) found() string {
	said := map[string]string{}
	for _, i := range l.items {
		if said[i.wanted.image] = i.was; parseEntry(i.was).key == i.wanted.key {
			said[i.wanted.image] = "" // the step itself wrote it
		}
	}
	return cluster.Digest(said)
}

// write creates the list or patches it, fenced by what was read.
func (l *list) write(ctx context.Context, c *cluster.Cluster, dry bool) error {
	if len(l.patch) == 0 {
		return nil
	}
	if l.obj == nil {
		_, err := c.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "data": l.patch,
			"metadata": map[string]any{"name": l.ref.Name, "namespace": l.ref.Namespace, "labels": map[string]any{"app.kubernetes.io/managed-by": "astern"}},
		}}, cluster.CreateOptions{DryRun: dry})
		if cluster.IsAlreadyExists(err) {
			return fmt.Errorf("%w: %w", cluster.ErrMoved, err)
		}
		return err
	}
	_, err := c.MergePatch(ctx, l.ref, map[string]any{
		"metadata": map[string]any{"uid": string(l.obj.GetUID()), "resourceVersion": l.obj.GetResourceVersion()}, "data": l.patch,
	}, cluster.PatchOptions{DryRun: dry})
	return err
}

func (l *list) open() []string {
	var open []string
	for _, i := range l.items {
		switch {
		case i.done:
		case l.remove:
			open = append(open, i.wanted.image+" is still refused")
		default:
			open = append(open, i.wanted.image+" is not refused")
		}
	}
	return open
}

func (l *list) summary() string {
	var images []string
	for _, i := range l.items {
		if !i.done {
			images = append(images, i.wanted.image)
		}
	}
	text := strings.Join(images, ", ")
	if len(images) > 3 {
		text = fmt.Sprintf("%s and %d more", strings.Join(images[:3], ", "), len(images)-3)
	}
	switch {
	case len(images) == 0 && l.remove:
		return "quarantine: nothing is to be taken off " + l.ref.String()
	case len(images) == 0:
		return "quarantine: all is on " + l.ref.String() + " already"
	case l.remove:
		return "take " + text + " off " + l.ref.String()
	}
	return "put " + text + " on " + l.ref.String()
}

func (l *list) diff() []string {
	var lines []string
	if l.obj == nil && len(l.patch) > 0 {
		lines = append(lines, "+ "+l.ref.String())
	}
	for _, i := range l.items {
		switch {
		case i.done:
			lines = append(lines, fmt.Sprintf("= %s %s", l.ref, i.wanted.image))
		case l.remove:
			lines = append(lines, fmt.Sprintf("- %s %s", l.ref, i.wanted.image))
		case i.was != "":
			lines = append(lines, fmt.Sprintf("~ %s %s until %s: %s", l.ref, i.wanted.image, i.wanted.until.Format(untilForm), i.wanted.reason))
		default:
			lines = append(lines, fmt.Sprintf("+ %s %s until %s: %s", l.ref, i.wanted.image, i.wanted.until.Format(untilForm), i.wanted.reason))
		}
	}
	return slices.Compact(lines)
}
