package expr

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// provider tells CEL the objects' types and turns Go values into CEL's.
type provider struct {
	*types.Registry
	objects map[string]*object
}

// missingKey is what reading an absent field gives; the evaluation makes a Missing of it.
type missingKey struct{ key string }

func (m *missingKey) Error() string { return "no such key: " + m.key }

func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := p.objects[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if o, ok := p.objects[name]; ok {
		return slices.Sorted(maps.Keys(o.fields)), true
	}
	return p.Registry.FindStructFieldNames(name)
}

func (p *provider) FindStructFieldType(name, key string) (*types.FieldType, bool) {
	o, ok := p.objects[name]
	if !ok {
		return p.Registry.FindStructFieldType(name, key)
	}
	f, ok := o.fields[key]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:  f.typ,
		IsSet: func(v any) bool { _, there := f.get(v); return there },
		GetFrom: func(v any) (any, error) {
			if value, there := f.get(v); there {
				return value, nil
			}
			return nil, &missingKey{key}
		},
	}, true
}

// NewValue refuses: an expression reads objects, it makes none.
func (p *provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ok := p.objects[name]; ok {
		return types.NewErr("%s cannot be made in an expression", strings.TrimPrefix(name, prefix))
	}
	return p.Registry.NewValue(name, fields)
}

// NativeToValue wraps the objects and leaves the rest to CEL's own registry.
func (p *provider) NativeToValue(v any) ref.Val {
	switch o := v.(type) {
	case *Alert, *Group, *Target, *Owner, *Workload, *ReleasePair, *Release, *Incident:
		return p.wrap(objectName(o), o)
	case *stepsValue:
		return p.wrap(o.object, o)
	}
	return p.Registry.NativeToValue(v)
}

func (p *provider) wrap(name string, v any) ref.Val {
	return &objectValue{provider: p, object: p.objects[prefix+name], value: v}
}

func objectName(v any) string {
	switch v.(type) {
	case *Alert:
		return "alert"
	case *Group:
		return "group"
	case *Target:
		return "target"
	case *Owner:
		return "owner"
	case *Workload:
		return "workload"
	case *ReleasePair:
		return "releases"
	case *Release:
		return "release"
	}
	return "incident"
}

// objectValue is a whole object inside an expression, such as an item of a list.
type objectValue struct {
	provider *provider
	object   *object
	value    any
}

func (o *objectValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s is no single value: name one of its fields", o.object.name)
}

func (o *objectValue) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("%s is no single value: name one of its fields", o.object.name)
}

func (o *objectValue) Equal(other ref.Val) ref.Val {
	b, ok := other.(*objectValue)
	return types.Bool(ok && o.object == b.object && reflect.DeepEqual(o.value, b.value))
}

func (o *objectValue) Type() ref.Type { return types.NewObjectType(prefix + o.object.name) }
func (o *objectValue) Value() any     { return o.value }

// Get and IsSet read one field.
func (o *objectValue) Get(key ref.Val) ref.Val {
	name, _ := key.Value().(string)
	if value, there := o.object.fields[name].read(o.value); there {
		return o.provider.NativeToValue(value)
	}
	return types.WrapErr(&missingKey{name})
}

func (o *objectValue) IsSet(key ref.Val) ref.Val {
	name, _ := key.Value().(string)
	_, there := o.object.fields[name].read(o.value)
	return types.Bool(there)
}

func (f field) read(v any) (any, bool) {
	if f.get == nil {
		return nil, false
	}
	return f.get(v)
}
