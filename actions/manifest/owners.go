package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// owner is who wrote which fields of an object, as its managedFields say: f: names a field, k: an element by its keys,
// v: one by its value, i: one by its position, and "." the thing itself.
type owner struct {
	manager     string
	applies     bool // server-side; else it updates, as a client-side apply does
	subresource string
	fields      map[string]any
}

func (o owner) String() string {
	switch {
	case o.subresource != "":
		return o.manager + " (" + o.subresource + ")"
	case o.applies:
		return o.manager
	}
	return o.manager + " (by update)"
}

func ownersOf(obj *unstructured.Unstructured) ([]owner, error) {
	var all []owner
	for _, entry := range obj.GetManagedFields() {
		o := owner{manager: entry.Manager, applies: entry.Operation == metav1.ManagedFieldsOperationApply, subresource: entry.Subresource}
		if entry.FieldsV1 != nil {
			if err := json.NewDecoder(entry.FieldsV1.GetRawReader()).Decode(&o.fields); err != nil {
				return nil, fmt.Errorf("managed fields of %s: %w", entry.Manager, err)
			}
		}
		all = append(all, o)
	}
	return all, nil
}

// owns says whether a field, or something below it, is the owner's.
func (o owner) owns(at ...string) bool {
	var fields any = o.fields
	for _, step := range at {
		below, is := fields.(map[string]any)
		if !is {
			return false
		}
		if fields, is = below[step]; !is {
			return false
		}
	}
	return fields != nil
}

// manages says that the owner wrote what the object is for, and not only labels or a status.
func (o owner) manages() bool {
	if o.owns("f:spec", "f:template", "f:spec", "f:containers") || o.owns("f:spec", "f:jobTemplate") {
		return true
	}
	for step := range o.fields {
		switch step {
		case "f:metadata", "f:status", "f:apiVersion", "f:kind":
		case "f:spec":
			if !o.owns("f:spec", "f:template") && !o.only("f:spec", "f:replicas", "f:paused") {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// only says that the owner has nothing below a field but these.
func (o owner) only(at string, these ...string) bool {
	below, _ := o.fields[at].(map[string]any)
	for step := range below {
		if step != "." && !slices.Contains(these, step) {
			return false
		}
	}
	return true
}

// added lists the owner's fields that live has and goal has not: what it would lose by applying the goal.
func (o owner) added(live, goal map[string]any) [][]string {
	var all [][]string
	for _, part := range slices.Sorted(maps.Keys(o.fields)) {
		switch part {
		case "f:metadata", "f:status", "f:apiVersion", "f:kind", ".":
			continue
		}
		all = append(all, missing(map[string]any{part: o.fields[part]}, live, goal, nil)...)
	}
	labels, _ := o.fields["f:metadata"].(map[string]any)
	if below, is := labels["f:labels"]; is {
		all = append(all, missing(map[string]any{"f:metadata": map[string]any{"f:labels": below}}, live, goal, nil)...)
	}
	return all
}

func missing(fields map[string]any, live, goal any, at []string) [][]string {
	var all [][]string
	for _, step := range slices.Sorted(maps.Keys(fields)) {
		was, there := follow(live, step)
		if step == "." || !there {
			continue
		}
		path := append(slices.Clone(at), step)
		is, kept := follow(goal, step)
		below, _ := fields[step].(map[string]any)
		if _, whole := below["."]; !kept && (whole || len(below) == 0) {
			all = append(all, path)
			continue
		}
		all = append(all, missing(below, was, is, path)...)
	}
	return all
}

// follow goes one step of managed fields down.
func follow(value any, step string) (any, bool) {
	kind, rest, _ := strings.Cut(step, ":")
	switch kind {
	case "f":
		fields, _ := value.(map[string]any)
		below, is := fields[rest]
		return below, is
	case "k", "v":
		list, _ := value.([]any)
		if n := position(list, step); n >= 0 {
			return list[n], true
		}
	}
	return nil, false
}

func position(list []any, step string) int {
	kind, rest, _ := strings.Cut(step, ":")
	return slices.IndexFunc(list, func(element any) bool {
		return kind == "k" && hasKeys(element, rest) || kind == "v" && isValue(element, rest)
	})
}

func hasKeys(element any, keys string) bool {
	var wanted map[string]any
	fields, is := element.(map[string]any)
	if err := json.Unmarshal([]byte(keys), &wanted); err != nil || !is {
		return false
	}
	for key, value := range wanted {
		has, is := fields[key]
		if !is && key == "protocol" { // the one key that the server fills in
			has, is = "TCP", true
		}
		if !is || !same(has, value) {
			return false
		}
	}
	return true
}

func isValue(element any, value string) bool {
	var wanted any
	return json.Unmarshal([]byte(value), &wanted) == nil && same(element, wanted)
}

func same(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// without takes fields out of a copy of an object.
func without(obj *unstructured.Unstructured, fields [][]string) *unstructured.Unstructured {
	clean := obj.DeepCopy()
	for _, path := range fields {
		if after, is := cut(clean.Object, path).(map[string]any); is {
			clean.Object = after
		}
	}
	return clean
}

func cut(value any, path []string) any {
	step, last := path[0], len(path) == 1
	below, there := follow(value, step)
	if !there {
		return value
	}
	switch at := value.(type) {
	case map[string]any:
		name := strings.TrimPrefix(step, "f:")
		if last {
			delete(at, name)
			return at
		}
		at[name] = cut(below, path[1:])
		return at
	case []any:
		n := position(at, step)
		if last {
			return slices.Delete(at, n, n+1)
		}
		at[n] = cut(below, path[1:])
	}
	return value
}

// shown writes a path of managed fields as the diff does: spec.template.spec.containers[api].env[DEBUG].
func shown(path []string) string {
	text := ""
	for _, step := range path {
		kind, rest, _ := strings.Cut(step, ":")
		if kind == "f" && !strings.ContainsAny(rest, "./[]") {
			text += "." + rest
			continue
		}
		text += "[" + element(kind, rest) + "]"
	}
	return strings.TrimPrefix(text, ".")
}

func element(kind, rest string) string {
	var keys map[string]any
	if kind != "k" || json.Unmarshal([]byte(rest), &keys) != nil {
		return rest
	}
	if name, is := keys["name"]; is && len(keys) == 1 {
		return fmt.Sprint(name)
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		parts = append(parts, fmt.Sprintf("%s=%v", key, keys[key]))
	}
	return strings.Join(parts, ",")
}
