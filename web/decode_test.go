package web

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/template"
	"github.com/stretchr/testify/require"
)

var receipt = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// payloads are real deliveries, byte for byte.
func payloads(t testing.TB) map[string][]byte {
	paths, err := filepath.Glob("testdata/payloads/*/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 23)
	bodies := map[string][]byte{}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		require.NoError(t, err)
		bodies[strings.TrimPrefix(path, "testdata/payloads/")] = body
	}
	return bodies
}

func TestRealDeliveriesDecodeAsAlertmanagerMeantThem(t *testing.T) {
	for name, body := range payloads(t) {
		t.Run(name, func(t *testing.T) {
			var meant struct {
				template.Data
				GroupKey        string `json:"groupKey"`
				TruncatedAlerts int    `json:"truncatedAlerts"`
			}
			require.NoError(t, json.Unmarshal(body, &meant))
			n, err := Decode(body, receipt)
			require.NoError(t, err)
			require.Equal(t, meant.Receiver, n.Receiver)
			require.Equal(t, meant.Status, n.Status)
			require.Equal(t, meant.GroupKey, n.GroupKey)
			require.Equal(t, meant.ExternalURL, n.ExternalURL)
			require.Equal(t, meant.TruncatedAlerts, n.Truncated)
			require.Equal(t, map[string]string(meant.GroupLabels), n.GroupLabels)
			require.Equal(t, body, n.Body)
			require.Len(t, n.Alerts, len(meant.Alerts))
			require.NotEmpty(t, n.Alerts)
			for i, got := range n.Alerts {
				want := meant.Alerts[i]
				require.Empty(t, got.Quarantine)
				require.Empty(t, got.Note)
				require.Equal(t, want.Status, got.Alert.Status)
				require.Equal(t, map[string]string(want.Labels), got.Alert.Labels)
				require.True(t, maps.Equal(want.Annotations, got.Alert.Annotations))
				require.True(t, want.StartsAt.Equal(got.Alert.StartsAt))
				require.True(t, want.EndsAt.Equal(got.Alert.EndsAt))
				require.Equal(t, want.Fingerprint, got.Alert.Fingerprint)
				require.Equal(t, want.GeneratorURL, got.Alert.GeneratorURL)
				require.Equal(t, n.GroupLabels, got.Alert.GroupLabels)
			}
		})
	}
}

func TestAnOldSenderMayLeaveOutWhatNobodyNeeds(t *testing.T) {
	n, err := Decode([]byte(`{"version":"4","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"A"}}]}`), receipt)
	require.NoError(t, err)
	require.Len(t, n.Alerts, 1)
	require.Equal(t, receipt, n.Alerts[0].Alert.StartsAt)
	require.Contains(t, n.Alerts[0].Note, "no startsAt")

	n, err = Decode([]byte(`{"version":"4","status":"firing","groupLabels":null,"receiver":null,"alerts":[{"status":"firing","labels":{"alertname":"A"},"annotations":null,"startsAt":"2026-11-23T11:00:00Z"}]}`), receipt)
	require.NoError(t, err)
	require.Empty(t, n.Alerts[0].Note)
}

func TestUnknownMembersAreAccepted(t *testing.T) {
	n, err := Decode([]byte(`{"version":"4","status":"firing","news":{"a":[1,{"b":null}]},"alerts":[{"status":"firing","labels":{"alertname":"A","Alertname":"other"},"new":[[]],"startsAt":"2026-11-23T11:00:00Z"}]}`), receipt)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"alertname": "A", "Alertname": "other"}, n.Alerts[0].Alert.Labels, "labels that differ in case are two labels")
}

// good is a notification with one alert; the tests below break it.
const good = `{"version":"4","status":"firing","receiver":"astern","groupKey":"{}","truncatedAlerts":0,"groupLabels":{"alertname":"A"},` +
	`"alerts":[{"status":"firing","labels":{"alertname":"A"},"annotations":{},"startsAt":"2026-11-23T11:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]}`

func broken(old, new string) string {
	out := strings.Replace(good, old, new, 1)
	if out == good {
		panic("nothing to break: " + old)
	}
	return out
}

// malformedBody is one body that is not a notification. The class is its number on the contract's page; 12 to 14 are
// about the request around the body and stand in door_test.go.
type malformedBody struct{ class, name, body, field, says string }

var malformedBodies = []malformedBody{
	{"1", "empty", "", "", "empty"},
	{"1", "blanks", " \n", "", "ends in the middle"},
	{"2", "not JSON", "hello", "", "not JSON"},
	{"2", "form", "payload=%7B%7D", "", "not JSON"},
	{"2", "cut off", good[:len(good)-5], "/alerts/0/endsAt", "ends in the middle"},
	{"2", "comma too many", broken(`"receiver"`, `,"receiver"`), "", "not JSON"},
	{"2", "NaN", broken(`"truncatedAlerts":0`, `"truncatedAlerts":NaN`), "/truncatedAlerts", "not JSON"},
	{"3", "null", "null", "", "an object, not null"},
	{"4", "array", "[" + good + "]", "", "an object, not an array"},
	{"4", "string", `"firing"`, "", "an object, not a string"},
	{"4", "number", "4", "", "an object, not a number"},
	{"4", "boolean", "true", "", "an object, not a boolean"},
	{"5", "trailing text", good + "x", "", "not JSON"},
	{"5", "trailing bracket", good + "}", "", "not JSON"},
	{"6", "two documents", good + good, "", "goes on"},
	{"6", "a line each", good + "\n" + good, "", "goes on"},
	{"7", "member twice", broken(`"receiver"`, `"status":"firing","receiver"`), "/status", "twice"},
	{"7", "alert member twice", broken(`"endsAt"`, `"startsAt":"2026-11-23T11:00:00Z","endsAt"`), "/alerts/0/startsAt", "twice"},
	{"7", "label twice", broken(`"labels":{`, `"labels":{"alertname":"B",`), "/alerts/0/labels/alertname", "twice"},
	{"7", "label twice, escaped", broken(`"labels":{`, `"labels":{"\u0061lertname":"B",`), "/alerts/0/labels/alertname", "twice"},
	{"7", "in an unknown member", broken(`"receiver"`, `"x":{"a":1,"a":2},"receiver"`), "/x/a", "twice"},
	{"8", "Status", broken(`"receiver"`, `"Status":"resolved","receiver"`), "/Status", "only in case"},
	{"8", "ALERTS", broken(`"receiver"`, `"ALERTS":[],"receiver"`), "/ALERTS", "only in case"},
	{"8", "folded by Unicode", broken(`"receiver"`, `"ſtatus":"resolved","receiver"`), "/ſtatus", "only in case"},
	{"8", "Labels", broken(`"annotations"`, `"Labels":{"alertname":"B"},"annotations"`), "/alerts/0/Labels", "only in case"},
	{"9", "in a label", broken(`{"alertname":"A"},"annotations"`, "{\"alertname\":\"A\xff\"},\"annotations\""), "/alerts/0/labels/alertname", "UTF-8"},
	{"9", "in a name", broken(`"receiver"`, "\"x\xc3\":1,\"receiver\""), "", "UTF-8"},
	{"9", "half a surrogate pair", broken(`"receiver":"astern"`, `"receiver":"\ud800"`), "/receiver", "surrogate"},
	{"10", "byte order mark", "\xef\xbb\xbf" + good, "", "byte order mark"},
	{"10", "UTF-16, little", "\xff\xfe{\x00}\x00", "", "byte order mark"},
	{"10", "UTF-16, big", "\xfe\xff\x00{\x00}", "", "byte order mark"},
	{"10", "UTF-16 without a mark", "{\x00}\x00", "", "not JSON"},
	{"11", "arrays", broken(`"receiver"`, `"x":`+strings.Repeat("[", 16)+strings.Repeat("]", 16)+`,"receiver"`), "/x" + strings.Repeat("/0", 15), "deeper than 16"},
	{"11", "a million arrays", strings.Repeat("[", 1_000_000), "", "an object, not an array"},
	{"11", "a million objects", strings.Repeat(`{"a":`, 1_000_000), "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", "deeper than 16"},
	{"15", "no version", broken(`"version":"4",`, ``), "/version", "missing"},
	{"15", "version 3", broken(`"version":"4"`, `"version":"3"`), "/version", `"3" is not a version`},
	{"15", "version as a number", broken(`"version":"4"`, `"version":4`), "/version", "must be a string"},
	{"15", "version null", broken(`"version":"4"`, `"version":null`), "/version", "missing"},
	{"16", "no alerts", `{"version":"4","status":"firing"}`, "/alerts", "missing"},
	{"16", "alerts null", `{"version":"4","status":"firing","alerts":null}`, "/alerts", "must be an array, not null"},
	{"16", "alerts an object", `{"version":"4","status":"firing","alerts":{}}`, "/alerts", "must be an array"},
	{"17", "alerts empty", `{"version":"4","status":"firing","alerts":[]}`, "/alerts", "no alert"},
	{"18", "null among alerts", broken(`"alerts":[`, `"alerts":[null,`), "/alerts/0", "an object, not null"},
	{"18", "string among alerts", broken(`}]}`, `},"A"]}`), "/alerts/1", "an object, not a string"},
	{"19", "unknown status", broken(`"status":"firing","receiver"`, `"status":"fireing","receiver"`), "/status", "neither firing nor resolved"},
	{"19", "no status", broken(`"status":"firing","receiver"`, `"receiver"`), "/status", "missing"},
	{"19", "status in capitals", broken(`"status":"firing","receiver"`, `"status":"FIRING","receiver"`), "/status", "neither firing nor resolved"},
	{"19", "unknown status of an alert", broken(`[{"status":"firing"`, `[{"status":"pending"`), "/alerts/0/status", "neither firing nor resolved"},
	{"19", "alert without status", broken(`[{"status":"firing",`, `[{`), "/alerts/0/status", "neither firing nor resolved"},
	{"19", "status a number", broken(`[{"status":"firing"`, `[{"status":1`), "/alerts/0/status", "must be a string"},
	{"20", "label a number", broken(`{"alertname":"A"},"annotations"`, `{"alertname":1},"annotations"`), "/alerts/0/labels/alertname", "must be a string, not a number"},
	{"20", "label null", broken(`{"alertname":"A"},"annotations"`, `{"alertname":null},"annotations"`), "/alerts/0/labels/alertname", "must be a string, not null"},
	{"20", "label an object", broken(`{"alertname":"A"},"annotations"`, `{"a/b~":{}},"annotations"`), "/alerts/0/labels/a~1b~0", "must be a string, not an object"},
	{"20", "no label", broken(`{"alertname":"A"},"annotations"`, `{},"annotations"`), "/alerts/0/labels", "at least one label"},
	{"20", "labels missing", broken(`"labels":{"alertname":"A"},`, ``), "/alerts/0/labels", "at least one label"},
	{"20", "labels null", broken(`{"alertname":"A"},"annotations"`, `null,"annotations"`), "/alerts/0/labels", "at least one label"},
	{"20", "labels an array", broken(`{"alertname":"A"},"annotations"`, `[],"annotations"`), "/alerts/0/labels", "must be an object"},
	{"20", "annotation a boolean", broken(`"annotations":{}`, `"annotations":{"summary":true}`), "/alerts/0/annotations/summary", "must be a string, not a boolean"},
	{"20", "group label a number", broken(`"groupLabels":{"alertname":"A"}`, `"groupLabels":{"alertname":1}`), "/groupLabels/alertname", "must be a string"},
	{"21", "not a time", broken(`2026-11-23T11:00:00Z`, `yesterday`), "/alerts/0/startsAt", `"yesterday" is not an RFC 3339 time`},
	{"21", "no time zone", broken(`2026-11-23T11:00:00Z`, `2026-11-23T11:00:00`), "/alerts/0/startsAt", "not an RFC 3339 time"},
	{"21", "30 February", broken(`2026-11-23T11:00:00Z`, `2026-02-30T11:00:00Z`), "/alerts/0/startsAt", "not an RFC 3339 time"},
	{"21", "empty time", broken(`0001-01-01T00:00:00Z`, ``), "/alerts/0/endsAt", "not an RFC 3339 time"},
	{"21", "a number", broken(`"2026-11-23T11:00:00Z"`, `1763895600`), "/alerts/0/startsAt", "must be a time, not a number"},
	{"21", "truncatedAlerts negative", broken(`"truncatedAlerts":0`, `"truncatedAlerts":-1`), "/truncatedAlerts", "whole number"},
	{"21", "truncatedAlerts a fraction", broken(`"truncatedAlerts":0`, `"truncatedAlerts":0.5`), "/truncatedAlerts", "whole number"},
	{"21", "truncatedAlerts a string", broken(`"truncatedAlerts":0`, `"truncatedAlerts":"0"`), "/truncatedAlerts", "must be a number"},
	{"24", "a custom payload", `{"text":"A is firing","channel":"#incidents"}`, "/version", "missing"},
}

func TestWhatIsNotANotificationIsRefusedWithItsField(t *testing.T) {
	classes := map[string]bool{}
	for _, c := range malformedBodies {
		classes[c.class] = true
		t.Run(c.class+" "+c.name, func(t *testing.T) {
			n, err := Decode([]byte(c.body), receipt)
			var malformed *Malformed
			require.ErrorAs(t, err, &malformed)
			require.Equal(t, 400, malformed.Status)
			require.Equal(t, c.field, malformed.Field)
			require.Contains(t, err.Error(), c.says)
			require.Zero(t, n, "nothing of it may be used")
		})
	}
	for _, class := range strings.Fields("1 2 3 4 5 6 7 8 9 10 11 15 16 17 18 19 20 21 24") {
		require.True(t, classes[class], "class %s has no case", class)
	}
}

func TestACustomPayloadIsToldWhatToKeep(t *testing.T) {
	_, err := Decode([]byte(`{"text":"A is firing"}`), receipt)
	var malformed *Malformed
	require.ErrorAs(t, err, &malformed)
	require.Contains(t, malformed.Hint, "custom `payload` must keep")
}

func TestDepthSixteenIsStillRead(t *testing.T) {
	_, err := Decode([]byte(broken(`"receiver"`, `"x":`+strings.Repeat("[", 15)+strings.Repeat("]", 15)+`,"receiver"`)), receipt)
	require.NoError(t, err)
}

func TestAnOddAlertIsSetAsideAlone(t *testing.T) {
	const start = `"startsAt":"2026-11-23T11:00:00Z"`
	labels := func(pair string) string {
		return `{"status":"firing","labels":{"alertname":"Odd",` + pair + `},` + start + `}`
	}
	for _, c := range []struct {
		name, alert      string
		quarantine, note string
		from, to         time.Time
	}{
		{"zero start", `{"status":"firing","labels":{"a":"b"},"startsAt":"0001-01-01T00:00:00Z"}`, "", "no startsAt", receipt, time.Time{}},
		{"start before the epoch", `{"status":"firing","labels":{"a":"b"},"startsAt":"0000-01-01T00:00:00+14:00"}`, "", "no startsAt", receipt, time.Time{}},
		{"future start", `{"status":"firing","labels":{"a":"b"},"startsAt":"2026-11-23T13:00:00Z"}`, "", "is in the future", receipt, time.Time{}},
		{"start beyond year 9999", `{"status":"firing","labels":{"a":"b"},"startsAt":"9999-12-31T23:59:59-14:00"}`, "", "is in the future", receipt, time.Time{}},
		{"firing with an end", `{"status":"firing","labels":{"a":"b"},` + start + `,"endsAt":"2026-11-23T14:00:00Z"}`, "", "", receipt.Add(-time.Hour), time.Time{}},
		{"resolved without an end", `{"status":"resolved","labels":{"a":"b"},` + start + `}`, "", "without an end", receipt.Add(-time.Hour), receipt},
		{"resolved with a zero end", `{"status":"resolved","labels":{"a":"b"},` + start + `,"endsAt":"0001-01-01T00:00:00Z"}`, "", "without an end", receipt.Add(-time.Hour), receipt},
		{"resolved in the future", `{"status":"resolved","labels":{"a":"b"},` + start + `,"endsAt":"2026-11-23T13:00:00Z"}`, "", "endsAt 2026-11-23T13:00:00Z is in the future", receipt.Add(-time.Hour), receipt},
		{"all in the future", `{"status":"resolved","labels":{"a":"b"},"startsAt":"2026-11-23T13:00:00Z","endsAt":"2026-11-23T14:00:00Z"}`, "", "startsAt 2026-11-23T13:00:00Z is in the future", receipt, receipt},
		{"resolved without a start", `{"status":"resolved","labels":{"a":"b"},"endsAt":"2026-11-23T11:30:00Z"}`, "", "no startsAt", receipt.Add(-30 * time.Minute), receipt.Add(-30 * time.Minute)},
		{"end before start", `{"status":"resolved","labels":{"a":"b"},` + start + `,"endsAt":"2026-11-23T10:00:00Z"}`, "is before startsAt", "", receipt.Add(-time.Hour), receipt.Add(-2 * time.Hour)},
		{"firing, end before start", `{"status":"firing","labels":{"a":"b"},` + start + `,"endsAt":"2026-11-23T10:00:00Z"}`, "is before startsAt", "", receipt.Add(-time.Hour), time.Time{}},
		{"NUL", labels(`"x":"a\u0000b"`), `label "x" holds a control character`, "", receipt.Add(-time.Hour), time.Time{}},
		{"line feed", labels(`"x":"a\nb"`), "control character", "", receipt.Add(-time.Hour), time.Time{}},
		{"escape sequence", labels(`"x":"\u001b[2J"`), "control character", "", receipt.Add(-time.Hour), time.Time{}},
		{"C1 control", labels(`"x":"\u0085"`), "control character", "", receipt.Add(-time.Hour), time.Time{}},
		{"DEL in a name", labels(`"x\u007f":"y"`), "control character", "", receipt.Add(-time.Hour), time.Time{}},
		{"long value", labels(`"x":"` + strings.Repeat("v", 16<<10+1) + `"`), "longer than 16384 bytes", "", receipt.Add(-time.Hour), time.Time{}},
		{"long name", labels(`"` + strings.Repeat("n", 1<<10+1) + `":"y"`), "longer than 1024 bytes", "", receipt.Add(-time.Hour), time.Time{}},
		{"no name", labels(`"":"y"`), "no name", "", receipt.Add(-time.Hour), time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := broken(`"alerts":[`, `"alerts":[`+c.alert+`,`)
			n, err := Decode([]byte(body), receipt)
			require.NoError(t, err, "never 400: that would blind the whole group")
			require.Len(t, n.Alerts, 2)
			odd, neighbour := n.Alerts[0], n.Alerts[1]
			if c.quarantine == "" {
				require.Empty(t, odd.Quarantine)
			} else {
				require.Contains(t, odd.Quarantine, c.quarantine)
			}
			if c.note == "" {
				require.Empty(t, odd.Note)
			} else {
				require.Contains(t, odd.Note, c.note)
			}
			require.Equal(t, c.from, odd.Alert.StartsAt)
			require.Equal(t, c.to, odd.Alert.EndsAt)
			require.Empty(t, neighbour.Quarantine+neighbour.Note)
			require.Equal(t, map[string]string{"alertname": "A"}, neighbour.Alert.Labels)
		})
	}
}

func TestHostileButWellFormedLabelsAreOrdinary(t *testing.T) {
	for _, text := range []string{`'; DROP TABLE x; --`, `$(reboot)`, `<script>`, "\u202egnp.exe", "é 🔥", strings.Repeat("v", 16<<10)} {
		encoded, err := json.Marshal(text)
		require.NoError(t, err)
		n, err := Decode([]byte(broken(`{"alertname":"A"},"annotations"`, `{"alertname":`+string(encoded)+`},"annotations"`)), receipt)
		require.NoError(t, err)
		require.Empty(t, n.Alerts[0].Quarantine)
		require.Equal(t, text, n.Alerts[0].Alert.Labels["alertname"])
	}
}

func TestAnnotationsNeverSetAnAlertAside(t *testing.T) {
	long := strings.Repeat("é", 16<<10)
	n, err := Decode([]byte(broken(`"annotations":{}`, `"annotations":{"description":"two\nlines","long":"`+long+`"},"generatorURL":"http://p/`+long+`"`)), receipt)
	require.NoError(t, err)
	a := n.Alerts[0]
	require.Empty(t, a.Quarantine)
	require.Equal(t, "two\nlines", a.Alert.Annotations["description"])
	require.Len(t, a.Alert.Annotations["long"], 16<<10)
	require.Empty(t, a.Alert.GeneratorURL)
	require.Contains(t, a.Note, `annotation "long" cut`)
	require.Contains(t, a.Note, "generatorURL left out")
}

func TestQuarantineKeepsNoMoreThanTheBound(t *testing.T) {
	n, err := Decode([]byte(broken(`{"alertname":"A"},"annotations"`, `{"alertname":"`+strings.Repeat("v", 1<<20)+`"},"annotations"`)), receipt)
	require.NoError(t, err)
	require.Len(t, n.Alerts[0].Alert.Labels["alertname"], 16<<10)
}

func TestTheAnnotationValueIsANumberOrNothing(t *testing.T) {
	for text, want := range map[string]any{`"0.123"`: 0.123, `"-4e2"`: -400.0, `"12%"`: nil, `""`: nil, `"NaN"`: nil, `"+Inf"`: nil, `"1e999"`: nil} {
		n, err := Decode([]byte(broken(`"annotations":{}`, `"annotations":{"value":`+text+`}`)), receipt)
		require.NoError(t, err)
		got := n.Alerts[0].Alert.Value
		if want == nil {
			require.Nil(t, got, text)
		} else {
			require.NotNil(t, got, text)
			require.Equal(t, want, *got)
		}
	}
}

// What was decoded can always be stored: every alert is JSON again.
func FuzzDecode(f *testing.F) {
	for _, body := range payloads(f) {
		f.Add(body)
	}
	for _, c := range malformedBodies {
		if len(c.body) < 10_000 {
			f.Add([]byte(c.body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		n, err := Decode(body, receipt)
		require.Equal(t, before, body, "the body is kept for the ledger")
		if err != nil {
			var malformed *Malformed
			require.ErrorAs(t, err, &malformed)
			require.Less(t, len(err.Error()), 1000)
			require.Empty(t, n.Alerts)
			return
		}
		require.NotEmpty(t, n.Alerts)
		for _, a := range n.Alerts {
			_, err := json.Marshal(a.Alert)
			require.NoError(t, err)
			require.NotEmpty(t, a.Alert.Labels)
			require.False(t, a.Alert.StartsAt.After(receipt))
			require.Contains(t, []string{"firing", "resolved"}, a.Alert.Status)
		}
		// encoding/json reads the same alerts from it, so nobody behind us sees another notification.
		var meant template.Data
		require.NoError(t, json.Unmarshal(body, &meant))
		require.Len(t, n.Alerts, len(meant.Alerts))
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, count := range []int{1, 10, 100} {
		body := notificationOf(b, count)
		name := map[int]string{1: "001", 10: "010", 100: "100"}[count]
		b.Run("ours/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n, err := Decode(body, receipt); err != nil || len(n.Alerts) != count {
					b.Fatal(err)
				}
			}
		})
		b.Run("encoding-json/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var data template.Data
				if err := json.Unmarshal(body, &data); err != nil || len(data.Alerts) != count {
					b.Fatal(err)
				}
			}
		})
	}
}

// notificationOf is a real delivery with its first alert repeated.
func notificationOf(t testing.TB, count int) []byte {
	var whole map[string]any
	require.NoError(t, json.Unmarshal(payloads(t)["am-0.34.2/001-single-firing.json"], &whole))
	alerts := whole["alerts"].([]any)
	whole["alerts"] = slices.Repeat(alerts[:1], count)
	body, err := json.Marshal(whole)
	require.NoError(t, err)
	return body
}
