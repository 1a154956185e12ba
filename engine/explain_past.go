package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"astern.dev/astern/engine/incident"
)

const (
	// ledgerPage and ledgerLook bound how far the ledger is looked through, in lines.
	ledgerPage = 500
	ledgerLook = 10_000
)

// explainPast finds the newest delivery of an alert up to a moment, and says what came of it.
func (e *Engine) explainPast(ctx context.Context, q ExplainQuery) (Explanation, error) {
	if q.At.IsZero() {
		q.At = e.now()
	}
	x := Explanation{Basis: AsItWas, At: q.At}
	line, decided, err := e.findDelivery(ctx, q, &x)
	if err != nil {
		return x, err
	}
	if len(decided) == 0 {
		return e.neverReceived(x, q), nil
	}
	x.Heard = nil
	x.At = line.At
	d, err := e.deliveredAlert(ctx, line, decided[0], q, &x)
	if err != nil {
		return x, err
	}
	x.Alert = &d.Alert
	cfg, err := e.configAt(ctx, line.Config, &x)
	if err != nil {
		return x, err
	}
	if kind := decided[0].Kind; slices.Contains([]string{"quarantined", "watchdog", "own"}, kind) {
		return x.setAside(kind, decided[0].Reason), nil
	}
	asFiring := d.Alert
	asFiring.Status = "firing"
	x.Rules = explainRules(cfg.Rules, alertVars(asFiring, line.At))
	x.compareWithNow(e.config.Load(), asFiring)
	for _, decision := range decided {
		cases, err := e.pastCases(ctx, cfg, decision, &x)
		if err != nil {
			return x, err
		}
		x.Cases = append(x.Cases, cases...)
	}
	return x.concluded(), nil
}

// findDelivery looks through the ledger backwards. What it gives are the decisions about one alert of one delivery.
func (e *Engine) findDelivery(ctx context.Context, q ExplainQuery, x *Explanation) (incident.Delivery, []incident.Decision, error) {
	x.Heard = &Heard{Last: []incident.Delivery{}, Watchdogs: map[string]time.Time{}}
	before := int64(0)
	for x.Heard.Looked < ledgerLook {
		page, err := e.store.DeliveriesBefore(ctx, q.At, before, ledgerPage)
		if err != nil {
			return incident.Delivery{}, nil, err
		}
		for _, line := range page {
			if decided, others := fitting(line, q.Labels); len(decided) > 0 {
				x.Received = &Reception{At: line.At, Source: line.Source, Receiver: line.Receiver, Alerts: line.Alerts, Truncated: line.Truncated, Decisions: decided, Others: others}
				return line, decided, nil
			}
			x.Heard.take(line)
		}
		if len(page) < ledgerPage {
			break
		}
		before = page[len(page)-1].ID
	}
	return incident.Delivery{}, nil, nil
}

const heardLines = 5

func (h *Heard) take(line incident.Delivery) {
	h.Looked++
	h.long = h.long || len(line.Decisions) == ledgerDecisions && line.Alerts > ledgerDecisions
	h.Back = line.At
	if line.Counts["watchdog"] > 0 && line.Status == "firing" && h.Watchdogs[line.Source].IsZero() {
		h.Watchdogs[line.Source] = line.At
	}
	if line.Counts["watchdog"] < line.Alerts && len(h.Last) < heardLines {
		line.Decisions = line.Decisions[:min(len(line.Decisions), heardLines)]
		h.Last = append(h.Last, line)
	}
}

// fitting are the decisions about the first alert of a delivery that has these labels, and how many more alerts have
// them. Without labels, astern's own alerts and the Watchdog are passed over.
func fitting(line incident.Delivery, labels map[string]string) (decided []incident.Decision, others int) {
	more := map[string]bool{}
	for _, d := range line.Decisions {
		switch {
		case !has(d.Labels, labels) || len(labels) == 0 && (d.Kind == "watchdog" || d.Kind == "own"):
		case len(decided) == 0 || d.Alert == decided[0].Alert:
			decided = append(decided, d)
		default:
			more[d.Alert] = true
		}
	}
	return decided, len(more)
}

func has(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if have, ok := labels[name]; !ok || have != value {
			return false
		}
	}
	return true
}

// deliveredAlert is the alert as it was delivered: whole where the notification was kept whole, else what the ledger noted.
func (e *Engine) deliveredAlert(ctx context.Context, line incident.Delivery, about incident.Decision, q ExplainQuery, x *Explanation) (Delivered, error) {
	body, err := e.store.DeliveryBody(ctx, line.ID)
	if err != nil {
		return Delivered{}, err
	}
	if q.Decode != nil && len(body) > 0 {
		n, err := q.Decode(body, line.At)
		for _, d := range n.Alerts {
			if err == nil && AlertID(line.Source, d.Alert.Labels) == about.Alert {
				d.Alert.Source, d.Alert.ID, d.Alert.GroupLabels = line.Source, about.Alert, n.GroupLabels
				return d, nil
			}
		}
	}
	x.note("the notification was not kept whole: annotations, group labels and the start of the alert are not known")
	return Delivered{Alert: incident.Alert{ID: about.Alert, Source: line.Source, Status: about.Status, Labels: about.Labels, StartsAt: line.At}}, nil
}

// pastCases are what came of one decision: the rule's part in the incident, or why there is none.
func (e *Engine) pastCases(ctx context.Context, cfg *Configuration, d incident.Decision, x *Explanation) ([]Case, error) {
	switch {
	case d.Kind == "no_target":
		return []Case{withoutTarget(d.Rule, d.Reason)}, nil
	case d.Incident == "":
		if d.Reason != "" {
			x.note("%s", d.Reason)
		}
		return nil, nil
	}
	inc, events, err := e.Incident(ctx, d.Incident)
	switch {
	case errors.Is(err, ErrNotFound):
		return []Case{{Rule: d.Rule, Target: d.Target, Incident: d.Incident, End: HeldBack, Words: fmt.Sprintf("it went to %s, whose history is no longer kept", d.Incident)}}, nil
	case err != nil:
		return nil, err
	}
	cases := e.casesOf(cfg, inc, events, d.Rule)
	if d.Kind == "repeated" && d.Reason != "" && inc.Phase.Final() {
		for n := range cases {
			cases[n].End, cases[n].Words = OvertakenEnd, d.Reason
		}
	}
	return cases, nil
}

// neverReceived says what did come in.
func (e *Engine) neverReceived(x Explanation, q ExplainQuery) Explanation {
	cfg := e.config.Load()
	x.End, x.Config = NeverReceived, ConfigWord{Digest: cfg.Digest, InForce: true}
	about := "any alert"
	if len(q.Labels) > 0 {
		about = "an alert with " + pairsOf(q.Labels)
	}
	if x.Heard.long {
		x.note("of a delivery with more than %d alerts, only the first %d are looked at", ledgerDecisions, ledgerDecisions)
	}
	looked := "nothing was delivered at all"
	switch {
	case x.Heard.Looked == 1:
		looked = "1 delivery was looked at, of " + stamp(x.Heard.Back)
	case x.Heard.Looked > 0:
		looked = fmt.Sprintf("%d deliveries were looked at, back to %s", x.Heard.Looked, stamp(x.Heard.Back))
	}
	x.Answer = fmt.Sprintf("It was never received: up to %s no delivery holds %s (%s).", stamp(q.At), about, looked)
	x.Changes = []string{"look in Alertmanager: does it fire there, is it silenced or inhibited, does a route lead here?"}
	if len(x.Heard.Watchdogs) == 0 {
		x.Changes = append(x.Changes, "no Watchdog was received either: the way from Prometheus to here may be broken")
	}
	return x
}

func pairsOf(labels map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return strings.Join(pairs, ", ")
}
