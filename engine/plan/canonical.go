package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
)

// Canonical JSON: keys sorted, no spaces, one spelling for each value, so that the same parameters have the same hash and
// come back from a store byte for byte.

// encode writes parameters as canonical JSON.
func encode(v any) (incident.Params, error) {
	p, err := plain(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// decode reads what encode wrote. Whole numbers become int64, others float64.
func decode(raw incident.Params) (any, error) {
	if len(raw) == 0 {
		return map[string]any{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("read stored parameters: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("read stored parameters: text after the value")
	}
	return plain(v)
}

// plain makes a value of CEL, YAML or JSON one of: nil, bool, int64, float64, string, []any, map[string]any.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return utf8Text(v), nil
	case json.Number:
		return plainNumber(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case time.Duration:
		return v.String(), nil
	case actions.Duration:
		return time.Duration(v).String(), nil
	}
	return plainKind(reflect.ValueOf(v))
}

// utf8Text has U+FFFD for each byte that is no UTF-8, as a history gives it back.
func utf8Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func plainNumber(n json.Number) (any, error) {
	if whole, err := n.Int64(); err == nil && !strings.ContainsAny(n.String(), ".eE") {
		return whole, nil
	}
	return n.Float64()
}

func plainKind(v reflect.Value) (any, error) {
	switch {
	case v.Kind() == reflect.String:
		return utf8Text(v.String()), nil
	case v.Kind() == reflect.Bool:
		return v.Bool(), nil
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint():
		if v.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("the number %d is too large", v.Uint())
		}
		return int64(v.Uint()), nil
	case v.CanFloat():
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%v is no number that a parameter can hold", f)
		}
		return v.Float(), nil
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		return plainList(v)
	case v.Kind() == reflect.Map:
		return plainMap(v)
	}
	return nil, fmt.Errorf("a value of type %s cannot be a parameter", v.Type())
}

func plainList(v reflect.Value) (any, error) {
	out := make([]any, v.Len())
	for i := range out {
		item, err := plain(v.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		out[i] = item
	}
	return out, nil
}

func plainMap(v reflect.Value) (any, error) {
	out := make(map[string]any, v.Len())
	for iter := v.MapRange(); iter.Next(); {
		key, err := plain(iter.Key().Interface())
		name, ok := key.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("a map with keys other than text cannot be a parameter")
		}
		if out[name], err = plain(iter.Value().Interface()); err != nil {
			return nil, err
		}
	}
	return out, nil
}
