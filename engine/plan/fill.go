package plan

import (
	"encoding"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// ParamError is a parameter that does not fit; Path leads to it, such as `weights[0].server`.
type ParamError struct {
	Path    string
	Problem string
	// Near are the parameters that the action has, when Path names none of them.
	Near []string
}

func (e *ParamError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return "parameter " + e.Path + ": " + e.Problem
}

func wrong(path, format string, args ...any) error {
	return &ParamError{Path: path, Problem: fmt.Sprintf(format, args...)}
}

// fill sets into from a plain value, strictly: a key that the struct does not have, or a value of another kind, is an
// error that names the parameter. Nothing is converted but whole numbers to numbers, and text for types that read text.
func fill(into reflect.Value, v any, path string) error {
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		return fill(into.Elem(), v, path)
	}
	if ReadsText(into.Type()) {
		return fillText(into, v, path)
	}
	switch into.Kind() {
	case reflect.Struct:
		return fillStruct(into, v, path)
	case reflect.Map:
		return fillMap(into, v, path)
	case reflect.Slice:
		return fillSlice(into, v, path)
	case reflect.Interface:
		if v != nil {
			into.Set(reflect.ValueOf(v))
		}
		return nil
	}
	return fillScalar(into, v, path)
}

func fillText(into reflect.Value, v any, path string) error {
	text, ok := v.(string)
	if !ok {
		return wrong(path, "takes %s, not %s", kindName(into.Type()), kindOf(v))
	}
	if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		return wrong(path, "%v", err)
	}
	return nil
}

func fillStruct(into reflect.Value, v any, path string) error {
	m, ok := v.(map[string]any)
	if !ok {
		return wrong(path, "takes a map, not %s", kindOf(v))
	}
	known := fieldsOf(into.Type())
	for _, key := range slices.Sorted(maps.Keys(m)) {
		f, ok := known.byName[key]
		if !ok {
			return &ParamError{join(path, key), "there is no parameter of this name", known.names}
		}
		if err := fill(into.FieldByIndex(f.Index), m[key], join(path, key)); err != nil {
			return err
		}
	}
	return nil
}

func fillMap(into reflect.Value, v any, path string) error {
	m, ok := v.(map[string]any)
	if !ok {
		return wrong(path, "takes a map, not %s", kindOf(v))
	}
	out := reflect.MakeMapWithSize(into.Type(), len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value := reflect.New(into.Type().Elem()).Elem()
		if err := fill(value, m[key], join(path, key)); err != nil {
			return err
		}
		out.SetMapIndex(reflect.ValueOf(key).Convert(into.Type().Key()), value)
	}
	into.Set(out)
	return nil
}

func fillSlice(into reflect.Value, v any, path string) error {
	list, ok := v.([]any)
	if !ok {
		return wrong(path, "takes a list, not %s", kindOf(v))
	}
	out := reflect.MakeSlice(into.Type(), len(list), len(list))
	for i, item := range list {
		if err := fill(out.Index(i), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	into.Set(out)
	return nil
}

func fillScalar(into reflect.Value, v any, path string) error {
	switch v := v.(type) {
	case string:
		if into.Kind() == reflect.String {
			into.SetString(v)
			return nil
		}
	case bool:
		if into.Kind() == reflect.Bool {
			into.SetBool(v)
			return nil
		}
	case int64:
		if fillInt(into, v) {
			return nil
		}
	case float64:
		if into.CanFloat() && !math.IsInf(v, 0) && !math.IsNaN(v) {
			into.SetFloat(v)
			return nil
		}
	}
	if n, whole := v.(int64); whole && (into.CanInt() || into.CanUint()) {
		return wrong(path, "%d is too small or too large", n)
	}
	hint := ""
	if _, text := v.(string); text && into.Kind() != reflect.Bool && into.Kind() != reflect.String {
		hint = "; a number is written without quotes, and an expression that gives text inside int(…)"
	}
	return wrong(path, "takes %s, not %s%s", kindName(into.Type()), kindOf(v), hint)
}

func fillInt(into reflect.Value, v int64) bool {
	switch {
	case into.CanInt() && !into.OverflowInt(v):
		into.SetInt(v)
	case into.CanUint() && v >= 0 && !into.OverflowUint(uint64(v)):
		into.SetUint(uint64(v))
	case into.CanFloat():
		into.SetFloat(float64(v))
	default:
		return false
	}
	return true
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	if strings.ContainsAny(key, ".[] \"") {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	return path + "." + key
}
