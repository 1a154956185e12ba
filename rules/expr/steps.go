package expr

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
)

// stepsValue is `steps`, or one step's outputs, with the object type that describes it.
type stepsValue struct {
	object string
	values map[string]any
}

// stepObjects makes types for the outputs of a procedure's steps, so that a misspelt output is found at load.
// The value of a step without outputs is nil.
func stepObjects(steps map[string]any) map[string]*object {
	root := &object{"steps", map[string]field{}}
	all := map[string]*object{prefix + "steps": root}
	for name, outputs := range steps {
		o := &object{"steps." + name, outputFields(reflect.TypeOf(outputs))}
		all[prefix+o.name] = o
		root.fields[name] = field{objectType(o.name), func(v any) (any, bool) {
			s, ok := v.(*stepsValue)
			if !ok {
				return nil, false
			}
			values, ran := s.values[name].(map[string]any)
			return &stepsValue{o.name, values}, ran
		}}
	}
	return all
}

func outputFields(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return fields
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields[name] = outputField(name, celType(f.Type))
	}
	return fields
}

func outputField(name string, typ *types.Type) field {
	return field{typ, func(v any) (any, bool) {
		s, ok := v.(*stepsValue)
		if !ok {
			return nil, false
		}
		value, there := s.values[name]
		return coerce(value, typ), there
	}}
}

// celType is how an output comes back from the history: as JSON decodes it, with whole numbers kept whole.
func celType(t reflect.Type) *types.Type {
	if slices.Contains([]reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration]()}, t) {
		return types.DynType
	}
	switch t.Kind() {
	case reflect.Pointer:
		return celType(t.Elem())
	case reflect.String:
		return types.StringType
	case reflect.Bool:
		return types.BoolType
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return types.IntType
	case reflect.Float32, reflect.Float64:
		return types.DoubleType
	case reflect.Slice:
		return types.NewListType(celType(t.Elem()))
	case reflect.Map:
		return types.NewMapType(types.StringType, celType(t.Elem()))
	}
	return types.DynType
}

// coerce gives a JSON number back its declared kind.
func coerce(v any, typ *types.Type) any {
	switch n := v.(type) {
	case float64:
		if typ == types.IntType && n == math.Trunc(n) {
			return int64(n)
		}
	case []any:
		if p := typ.Parameters(); len(p) == 1 {
			list := make([]any, len(n))
			for i, item := range n {
				list[i] = coerce(item, p[0])
			}
			return list
		}
	case map[string]any:
		if p := typ.Parameters(); len(p) == 2 {
			m := make(map[string]any, len(n))
			for k, item := range n {
				m[k] = coerce(item, p[1])
			}
			return m
		}
	}
	return v
}
