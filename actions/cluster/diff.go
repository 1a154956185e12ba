package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	maxLines = 200
	maxValue = 160
)

// Diff says line by line what differs between two states of an object, either of which may be nil. What the server writes
// by itself is left out, and the values of a Secret are digests.
func Diff(before, after *unstructured.Unstructured) []string {
	known := after
	if known == nil {
		known = before
	}
	if known == nil {
		return nil
	}
	d := &differ{name: RefOf(known).String(), secret: known.GetKind() == "Secret"}
	switch {
	case before == nil:
		return []string{"+ " + d.name}
	case after == nil:
		return []string{"- " + d.name}
	}
	d.compare("", relevant(before), relevant(after))
	if more := len(d.lines) - maxLines; more > 0 {
		d.lines = append(d.lines[:maxLines], fmt.Sprintf("~ %s and %d more", d.name, more))
	}
	return d.lines
}

type differ struct {
	name   string
	secret bool
	lines  []string
}

// relevant leaves out the status and what the server counts.
func relevant(obj *unstructured.Unstructured) map[string]any {
	clean := obj.DeepCopy().Object
	delete(clean, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"} {
		unstructured.RemoveNestedField(clean, "metadata", field)
	}
	unstructured.RemoveNestedField(clean, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	return clean
}

func (d *differ) compare(path string, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	was, wasMap := before.(map[string]any)
	is, isMap := after.(map[string]any)
	if wasMap && isMap {
		d.maps(path, was, is)
		return
	}
	wasList, one := before.([]any)
	isList, other := after.([]any)
	if one && other {
		d.lists(path, wasList, isList)
		return
	}
	if !missing(before) && !missing(after) && Digest(before) == Digest(after) {
		return // the same number, read by another decoder
	}
	d.line(path, before, after)
}

func (d *differ) maps(path string, before, after map[string]any) {
	for _, key := range either(before, after) {
		d.compare(join(path, key), value(before, key), value(after, key))
	}
}

// lists compares elements by name where they have one, as containers and ports do, else by position.
func (d *differ) lists(path string, before, after []any) {
	was, named := byName(before)
	is, both := byName(after)
	if named && both {
		d.named(path, was, is)
		return
	}
	for n := range max(len(before), len(after)) {
		d.compare(fmt.Sprintf("%s[%d]", path, n), element(before, n), element(after, n))
	}
}

func either(a, b map[string]any) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (d *differ) named(path string, before, after map[string]any) {
	for _, key := range either(before, after) {
		d.compare(path+"["+key+"]", value(before, key), value(after, key))
	}
}

func (d *differ) line(path string, before, after any) {
	hide := d.secret && (strings.HasPrefix(path, "data") || strings.HasPrefix(path, "stringData"))
	switch {
	case missing(before):
		d.lines = append(d.lines, fmt.Sprintf("+ %s %s: %s", d.name, path, show(after, hide)))
	case missing(after):
		d.lines = append(d.lines, fmt.Sprintf("- %s %s: %s", d.name, path, show(before, hide)))
	default:
		d.lines = append(d.lines, fmt.Sprintf("~ %s %s: %s -> %s", d.name, path, show(before, hide), show(after, hide)))
	}
}

// absent tells a field that is not there from one that is null.
type absent struct{}

func missing(v any) bool { _, is := v.(absent); return is }

func value(of map[string]any, key string) any {
	if v, there := of[key]; there {
		return v
	}
	return absent{}
}

func element(of []any, n int) any {
	if n < len(of) {
		return of[n]
	}
	return absent{}
}

func byName(list []any) (map[string]any, bool) {
	all := map[string]any{}
	for _, item := range list {
		fields, _ := item.(map[string]any)
		name, ok := fields["name"].(string)
		if _, twice := all[name]; !ok || twice {
			return nil, false
		}
		all[name] = item
	}
	return all, true
}

func join(path, key string) string {
	if strings.ContainsAny(key, "./[]") {
		return path + "[" + key + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func show(v any, hide bool) string {
	if hide {
		return Digest(v)[:len("sha256:")+12]
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("(%T)", v)
	}
	text := printable(string(raw))
	if len(text) > maxValue {
		text = fmt.Sprintf("%s… (%d bytes, %s)", strings.ToValidUTF8(text[:maxValue], ""), len(raw), Digest(v)[:len("sha256:")+12])
	}
	return text
}

// printable makes what hides or turns text around visible.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.String()
}
