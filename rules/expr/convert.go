package expr

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// toGo makes plain Go of a CEL value.
func toGo(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.String:
		return string(v), nil
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		if v > math.MaxInt64 {
			return nil, fmt.Errorf("%d is too large", uint64(v))
		}
		return int64(v), nil
	case types.Double:
		return float64(v), nil
	case types.Timestamp:
		return v.Time, nil
	case types.Duration:
		return v.Duration, nil
	case types.Null:
		return nil, nil
	case traits.Mapper:
		return goMap(v)
	case traits.Lister:
		return goList(v)
	}
	return nil, fmt.Errorf("%s is no single value: name one of its fields", typeName(v.Type().TypeName()))
}

func goMap(m traits.Mapper) (any, error) {
	all := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		name, ok := k.Value().(string)
		if !ok {
			return nil, fmt.Errorf("the keys of a map must be strings, one is %v", k.Value())
		}
		value, err := toGo(m.Get(k))
		if err != nil {
			return nil, err
		}
		all[name] = value
	}
	return all, nil
}

func goList(l traits.Lister) (any, error) {
	all := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		value, err := toGo(it.Next())
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}

// asText writes a value inside a longer string.
func asText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339), nil
	case time.Duration:
		return v.String(), nil
	}
	return "", fmt.Errorf("want a string or a number, it gave %s", goKind(v))
}

func goKind(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("%T", v)
}
