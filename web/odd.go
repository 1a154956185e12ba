package web

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// Bounds on what one alert may carry. Prometheus' own limits are far below.
const (
	maxLabelName  = 1 << 10
	maxLabelValue = 16 << 10
)

// settle makes one alert fit to be judged, or says why it must be set aside. It never fails: an odd alert is kept with
// its reason, and its neighbours are judged as if it were not there.
func settle(raw rawAlert, group map[string]string, receipt time.Time) engine.Delivered {
	d := engine.Delivered{Alert: incident.Alert{
		Status: raw.status, Labels: raw.labels, Annotations: raw.annotations,
		StartsAt: raw.startsAt, EndsAt: raw.endsAt,
		Fingerprint: raw.fingerprint, GeneratorURL: raw.generatorURL,
		GroupLabels: group, Value: value(raw.annotations),
	}}
	if d.Quarantine = oddity(raw); d.Quarantine != "" {
		d.Alert.Labels = bounded(raw.labels)
	}
	var notes []string
	notes = settleTimes(&d.Alert, receipt, notes)
	notes = settleTexts(&d.Alert, notes)
	d.Note = strings.Join(notes, "; ")
	return d
}

// oddity says why an alert must not be judged; empty when it may.
func oddity(raw rawAlert) string {
	if told(raw.startsAt) && !raw.endsAt.IsZero() && raw.endsAt.Before(raw.startsAt) {
		return fmt.Sprintf("endsAt %s is before startsAt %s", raw.endsAt.Format(time.RFC3339), raw.startsAt.Format(time.RFC3339))
	}
	first, why := "", ""
	for name, text := range raw.labels {
		if odd := oddLabel(name, text); odd != "" && (why == "" || name < first) {
			first, why = name, odd
		}
	}
	return why
}

func oddLabel(name, text string) string {
	switch {
	case name == "":
		return "a label has no name"
	case len(name) > maxLabelName:
		return fmt.Sprintf("label name %s is longer than %d bytes", quote(name), maxLabelName)
	case len(text) > maxLabelValue:
		return fmt.Sprintf("label %s is longer than %d bytes", quote(name), maxLabelValue)
	case hasControl(name), hasControl(text):
		return fmt.Sprintf("label %s holds a control character", quote(name))
	}
	return ""
}

// bounded is what the ledger keeps of labels that are never matched.
func bounded(labels map[string]string) map[string]string {
	kept := make(map[string]string, len(labels))
	for name, text := range labels {
		kept[cut(name, maxLabelName)] = cut(text, maxLabelValue)
	}
	return kept
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

func hasControl(s string) bool {
	for n := range len(s) {
		switch c := s[n]; {
		case c >= utf8.RuneSelf:
			return strings.IndexFunc(s[n:], unicode.IsControl) >= 0
		case c < ' ' || c == 0x7f:
			return true
		}
	}
	return false
}

// told says whether a start was really told: senders without one write year 1.
func told(start time.Time) bool { return start.Unix() > 0 }

// settleTimes puts the time of receipt where another machine's clock makes no sense, and notes it.
func settleTimes(a *incident.Alert, receipt time.Time, notes []string) []string {
	switch {
	case a.Status == "firing":
		a.EndsAt = time.Time{} // a firing alert has none, whatever the sender wrote
	case !told(a.EndsAt):
		a.EndsAt = receipt
		notes = append(notes, "resolved without an end: ended at receipt")
	case a.EndsAt.After(receipt):
		notes = append(notes, "endsAt "+a.EndsAt.Format(time.RFC3339)+" is in the future: ended at receipt")
		a.EndsAt = receipt
	}
	begin := receipt
	if a.Status == "resolved" {
		begin = a.EndsAt
	}
	switch {
	case !told(a.StartsAt):
		a.StartsAt = begin
		notes = append(notes, "no startsAt: begun at receipt")
	case a.StartsAt.After(receipt):
		notes = append(notes, "startsAt "+a.StartsAt.Format(time.RFC3339)+" is in the future: begun at receipt")
		a.StartsAt = begin
	}
	return notes
}

// settleTexts bounds what no decision rests on.
func settleTexts(a *incident.Alert, notes []string) []string {
	var long []string
	for name, text := range a.Annotations {
		if len(name) > maxLabelName || len(text) > maxLabelValue {
			long = append(long, name)
		}
	}
	slices.Sort(long)
	for _, name := range long {
		text := a.Annotations[name]
		if len(name) > maxLabelName {
			delete(a.Annotations, name)
			notes = append(notes, fmt.Sprintf("annotation %s left out: its name is longer than %d bytes", quote(name), maxLabelName))
		} else {
			a.Annotations[name] = cut(text, maxLabelValue)
			notes = append(notes, fmt.Sprintf("annotation %s cut at %d bytes", quote(name), maxLabelValue))
		}
	}
	if len(a.GeneratorURL) > maxLabelValue {
		a.GeneratorURL = ""
		notes = append(notes, fmt.Sprintf("generatorURL left out: longer than %d bytes", maxLabelValue))
	}
	if len(a.Fingerprint) > maxLabelName {
		a.Fingerprint = ""
		notes = append(notes, fmt.Sprintf("fingerprint left out: longer than %d bytes", maxLabelName))
	}
	return notes
}

// value is the number that an alert rule put into its annotation `value`: a notification itself carries none.
// What is not a finite number is no value: histories are JSON, and JSON has no other.
func value(annotations map[string]string) *float64 {
	text, ok := annotations["value"]
	if !ok {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
