package expr

import (
	"time"

	"github.com/google/cel-go/common/types"
)

// object is a type that CEL sees as fields.
type object struct {
	name   string
	fields map[string]field
}

// field is typed when the expression is checked; get gives its value and whether it is there at all.
type field struct {
	typ *types.Type
	get func(any) (any, bool)
}

func of[T any](typ *types.Type, get func(*T) (any, bool)) field {
	return field{typ, func(o any) (any, bool) {
		t, ok := o.(*T)
		if !ok || t == nil {
			return nil, false
		}
		return get(t)
	}}
}

// text is a string field; an empty one is missing, so that nothing is rendered to nothing.
func text[T any](get func(*T) string) field {
	return of(types.StringType, func(t *T) (any, bool) { s := get(t); return s, s != "" })
}

// plain is a string field that may be empty.
func plain[T any](get func(*T) string) field {
	return of(types.StringType, func(t *T) (any, bool) { return get(t), true })
}

func moment[T any](get func(*T) time.Time) field {
	return of(types.TimestampType, func(t *T) (any, bool) { at := get(t); return at, !at.IsZero() })
}

func words[T any](get func(*T) map[string]string) field {
	return of(types.NewMapType(types.StringType, types.StringType), func(t *T) (any, bool) { return get(t), true })
}

const prefix = "astern."

func objectType(name string) *types.Type { return types.NewObjectType(prefix + name) }

// objects are the types behind the variables, by the variable's name.
func objects() map[string]*object {
	all := map[string]*object{}
	for _, o := range []*object{alertObject(), groupObject(), targetObject(), ownerObject(), workloadObject(), releasePairObject(), releaseObject(), incidentObject()} {
		all[prefix+o.name] = o
	}
	return all
}

func alertObject() *object {
	return &object{"alert", map[string]field{
		"status":      plain(func(a *Alert) string { return a.Status }),
		"labels":      words(func(a *Alert) map[string]string { return a.Labels }),
		"annotations": words(func(a *Alert) map[string]string { return a.Annotations }),
		"startsAt":    moment(func(a *Alert) time.Time { return a.StartsAt }),
		"endsAt":      moment(func(a *Alert) time.Time { return a.EndsAt }),
		"fingerprint": plain(func(a *Alert) string { return a.Fingerprint }),
		"source":      plain(func(a *Alert) string { return a.Source }),
		"value": of(types.DoubleType, func(a *Alert) (any, bool) {
			if a.Value == nil {
				return nil, false
			}
			return *a.Value, true
		}),
	}}
}

func groupObject() *object {
	return &object{"group", map[string]field{"labels": words(func(g *Group) map[string]string { return g.Labels })}}
}

func targetObject() *object {
	return &object{"target", map[string]field{
		"name":        text(func(t *Target) string { return t.Name }),
		"environment": text(func(t *Target) string { return t.Environment }),
		"uid":         text(func(t *Target) string { return t.UID }),
		"class":       text(func(t *Target) string { return t.Class }),
		"user_facing": of(types.BoolType, func(t *Target) (any, bool) { return t.UserFacing, true }),
		"owner":       of(objectType("owner"), func(t *Target) (any, bool) { return &t.Owner, true }),
		"workload":    of(objectType("workload"), func(t *Target) (any, bool) { return &t.Workload, true }),
		"vars":        of(types.NewMapType(types.StringType, types.DynType), func(t *Target) (any, bool) { return t.Vars, true }),
	}}
}

func ownerObject() *object {
	return &object{"owner", map[string]field{
		"team":  text(func(o *Owner) string { return o.Team }),
		"slack": text(func(o *Owner) string { return o.Slack }),
	}}
}

func workloadObject() *object {
	return &object{"workload", map[string]field{
		"kind":      text(func(w *Workload) string { return w.Kind }),
		"namespace": text(func(w *Workload) string { return w.Namespace }),
		"name":      text(func(w *Workload) string { return w.Name }),
	}}
}

func releasePairObject() *object {
	return &object{"releases", map[string]field{
		"current":  of(objectType("release"), func(p *ReleasePair) (any, bool) { return &p.Current, true }),
		"previous": of(objectType("release"), func(p *ReleasePair) (any, bool) { return &p.Previous, true }),
	}}
}

func releaseObject() *object {
	return &object{"release", map[string]field{
		"version": text(func(r *Release) string { return r.Version }),
		"commit":  text(func(r *Release) string { return r.Commit }),
		"digest":  text(func(r *Release) string { return r.Digest }),
		"at":      moment(func(r *Release) time.Time { return r.At }),
		"verdict": text(func(r *Release) string { return r.Verdict }),
		"schema":  text(func(r *Release) string { return r.Schema }),
		"vars":    words(func(r *Release) map[string]string { return r.Vars }),
	}}
}

func incidentObject() *object {
	return &object{"incident", map[string]field{
		"id":       text(func(i *Incident) string { return i.ID }),
		"severity": plain(func(i *Incident) string { return i.Severity }),
		"phase":    plain(func(i *Incident) string { return i.Phase }),
		"rule":     plain(func(i *Incident) string { return i.Rule }),
		"openedAt": moment(func(i *Incident) time.Time { return i.OpenedAt }),
	}}
}
