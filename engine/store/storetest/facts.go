package storetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// factNames are all fact types; a test holds the list to engine/incident.
var factNames = []string{
	"Opened", "AlertsSeen", "AlertsEnded", "Requested", "Reconfigured", "Judged", "Approved", "Declined", "Aborted",
	"StepBegan", "StepSucceeded", "StepDidNotHappen", "StepErred", "StepDoubted", "StepSettled", "StepHeld", "StepRepaired",
	"Marked", "HealthSeen", "Ended", "NoticesOwed", "NoticeBegan", "NoticeTold", "NoticeErred", "NoticeOverdue",
	"ReleaseRecorded", "ReleaseJudged", "RolledBack", "HoldSet", "HoldLifted", "Armed", "Disarmed", "Stopped", "Resumed",
	"MassEvent", "MassReleased", "Flapped", "FlappingReset", "RuleWaived", "RulesErred", "RulesLoaded", "WouldActMarked",
	"RolloutBegan", "ReleaseSeen", "WorkloadSeen", "Founded",
}

// everyFact stores each fact type twice, with every field filled and with none, and asks for it back.
func everyFact(t *testing.T, k *kit) {
	for _, name := range factNames {
		empty, err := incident.DecodeFact(name, 1, []byte("{}"))
		require.NoError(t, err)
		full := filled(empty)
		if reflect.TypeOf(empty).NumField() > 0 {
			require.NotEqual(t, empty, full, "%s is filled", name)
		}
		done, err := k.Append(t.Context(), incident.Append{Stream: name, Events: []incident.Event{
			incident.NewEvent(k.clock.Now(), "sre-1", "sha256:c0ffee", full), incident.NewEvent(k.clock.Pass(1), "sre-1", "", empty)}})
		require.NoError(t, err)
		events := k.mustLoad(name)
		require.Equal(t, done.Events, events)
		require.Equal(t, full, events[0].Fact)
		require.Equal(t, empty, events[1].Fact)
	}
}

// filled is the fact with every field set, as deep as it goes.
func filled(empty incident.Fact) incident.Fact {
	v := reflect.New(reflect.TypeOf(empty)).Elem()
	n := 0
	fill(v, &n)
	return v.Interface().(incident.Fact)
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// fill sets v to something that is not zero and differs from what was set before.
func fill(v reflect.Value, n *int) {
	*n++
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 10, 0, *n, 123456789+*n, time.UTC)))
		return
	case v.Type() == rawType:
		v.Set(reflect.ValueOf(json.RawMessage(must(json.Marshal(map[string]any{"a<b>&\u2028": *n, "list": []any{nil, 1.5, "é"}})))))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		fillMap(v, n)
	default:
		fillScalar(v, *n)
	}
}

func fillMap(v reflect.Value, n *int) {
	v.Set(reflect.MakeMap(v.Type()))
	for range 2 {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	}
}

func fillScalar(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d: <b>&\"'\\ \x00\u2028 é 🜁", n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n)<<40 + 1)
	case reflect.Uint8:
		v.SetUint(uint64(n % 251))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.1)
	default:
		panic("a fact has a field of a kind that the suite cannot fill: " + v.Type().String())
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
