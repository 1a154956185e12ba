package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"astern.dev/astern/actions/cluster"
)

// diffRollout says what a write makes of a workload. Of a template it tells images with the digests that run, names of
// environment variables and paths of fields; values of variables, arguments and annotations may be secrets and are not told.
func diffRollout(before, after rollout, running map[string]map[string]string) []string {
	d := templateDiff{name: before.ref.String()}
	d.containers(before.template(), after.template(), running)
	d.uses(cluster.Needs(before.template(), ""), cluster.Needs(after.template(), ""))
	d.rest("spec.template", without(before.template()), without(after.template()))
	lines := slices.Clone(d.lines)
	for _, line := range cluster.Diff(plainly(before.obj), plainly(after.obj)) {
		if !strings.Contains(line, haltedKey) {
			lines = append(lines, line)
		}
	}
	return lines
}

// plainly is an object without its template: that part is told in words of its own.
func plainly(obj *unstructured.Unstructured) *unstructured.Unstructured {
	plain := obj.DeepCopy()
	unstructured.RemoveNestedField(plain.Object, "spec", "template")
	return plain
}

type templateDiff struct {
	name  string
	lines []string
}

func (d *templateDiff) say(mark, format string, args ...any) {
	d.lines = append(d.lines, mark+" "+d.name+" "+fmt.Sprintf(format, args...))
}

func (d *templateDiff) containers(before, after map[string]any, running map[string]map[string]string) {
	was, is := byName(containers(before)), byName(containers(after))
	digests := func(template map[string]any) map[string]string {
		digest, err := cluster.TemplateDigest(template)
		if err != nil {
			return nil
		}
		return running[digest]
	}
	from, to := digests(before), digests(after)
	for _, name := range both(was, is) {
		old, had := was[name]
		now, has := is[name]
		switch {
		case !had:
			d.say("+", "%s: %s", now.at(), now.shown(to))
		case !has:
			d.say("-", "%s: %s", old.at(), old.shown(from))
		default:
			d.container(old, now, old.shown(from), now.shown(to))
		}
	}
}

func (d *templateDiff) container(old, now templateContainer, from, to string) {
	if old.image != now.image {
		d.say("~", "%s image: %s -> %s", now.at(), from, to)
	}
	was, is := variables(old), variables(now)
	for _, name := range both(was, is) {
		switch {
		case was[name] == "":
			d.say("+", "%s env %s", now.at(), name)
		case is[name] == "":
			d.say("-", "%s env %s", now.at(), name)
		case was[name] != is[name]:
			d.say("~", "%s env %s", now.at(), name)
		}
	}
	d.rest(now.at(), stripped(old.fields), stripped(now.fields))
}

// uses names the ConfigMaps, Secrets and others that one template needs and the other does not.
func (d *templateDiff) uses(before, after []cluster.Ref) {
	for _, n := range before {
		if !slices.Contains(after, n) {
			d.say("-", "uses %s %s", n.Kind, n.Name)
		}
	}
	for _, n := range after {
		if !slices.Contains(before, n) {
			d.say("+", "uses %s %s", n.Kind, n.Name)
		}
	}
}

func (c templateContainer) at() string { return strings.TrimSuffix(c.field, "s") + " " + c.name }

func byName(all []templateContainer) map[string]templateContainer {
	named := map[string]templateContainer{}
	for _, c := range all {
		named[c.field+"/"+c.name] = c
	}
	return named
}

func both[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// variables are the digests of a container's environment by name: two are compared, none is told.
func variables(c templateContainer) map[string]string {
	all := map[string]string{}
	for _, one := range cluster.Items(c.fields, "env") {
		all[text(one, "name")] = cluster.Digest(one)
	}
	return all
}

func stripped(fields map[string]any) map[string]any {
	rest := maps.Clone(fields)
	delete(rest, "env")
	delete(rest, "image")
	return rest
}

func without(template map[string]any) map[string]any {
	spec := copied(template, "spec")
	delete(spec, "containers")
	delete(spec, "initContainers")
	return map[string]any{"metadata": copied(template, "metadata"), "spec": spec}
}

// telling are the fields whose values are no secrets, and help who approves.
var telling = regexp.MustCompile(`\.(resources|ports|livenessProbe|readinessProbe|startupProbe|serviceAccountName|terminationGracePeriodSeconds|imagePullPolicy|configMap|configMapRef|secretName|secretRef|claimName)(\.|\[|$)`)

// rest names the fields that differ, with their values where those cannot be secrets.
func (d *templateDiff) rest(path string, before, after any) {
	was, one := before.(map[string]any)
	is, other := after.(map[string]any)
	if one && other && !telling.MatchString(path) {
		for _, key := range both(was, is) {
			d.rest(path+"."+key, was[key], is[key])
		}
		return
	}
	switch {
	case cluster.Digest(before) == cluster.Digest(after):
	case before == nil:
		d.say("+", "%s%s", path, told(path, after))
	case after == nil:
		d.say("-", "%s%s", path, told(path, before))
	case telling.MatchString(path):
		d.say("~", "%s%s ->%s", path, told(path, before), strings.TrimPrefix(told(path, after), ":"))
	default:
		d.say("~", "%s changes", path)
	}
}

const maxTold = 200

func told(path string, value any) string {
	raw, err := json.Marshal(value)
	if err != nil || !telling.MatchString(path) || len(raw) > maxTold {
		return ""
	}
	return ": " + string(raw)
}
