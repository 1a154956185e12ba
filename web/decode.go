package web

import (
	"fmt"
	"net/http"
	"time"

	"astern.dev/astern/engine"
)

// rawAlert is one alert as it stands in a notification, before anyone asked whether it makes sense.
type rawAlert struct {
	status, fingerprint, generatorURL string
	labels, annotations               map[string]string
	startsAt, endsAt                  time.Time
}

var (
	notificationMembers = []string{"receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations",
		"routeLabels", "externalURL", "notification_reason", "version", "groupKey", "truncatedAlerts"}
	alertMembers = []string{"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
)

const customPayloadHint = "a webhook with a custom `payload` must keep Alertmanager's own fields version, status and alerts"

// Decode reads one Alertmanager notification. What is not a notification is a *Malformed with the field at fault;
// nothing of it may be used then. An odd alert in a good notification never fails it: it comes marked Quarantine or
// Note, and its neighbours are as they were sent (a 4xx is not retried and would blind the whole group).
// The receipt time stands in for times that make no sense. Alert.Source is left to the caller.
func Decode(body []byte, receipt time.Time) (engine.Notification, error) {
	n := engine.Notification{Body: body}
	r, err := newReader(body)
	if err != nil {
		return engine.Notification{}, err
	}
	defer r.done()
	var version string
	var alerts []rawAlert
	err = r.document("a notification", notificationMembers, func(name string) error {
		switch name {
		case "version":
			return r.str(&version)
		case "alerts":
			return r.alerts(&alerts)
		default:
			return r.notificationMember(name, &n)
		}
	})
	if err == nil {
		err = complete(n, version, alerts)
	}
	if err != nil {
		return engine.Notification{}, err
	}
	n.Alerts = make([]engine.Delivered, len(alerts))
	for i := range alerts {
		n.Alerts[i] = settle(alerts[i], n.GroupLabels, receipt.UTC())
	}
	return n, nil
}

func (r reader) notificationMember(name string, n *engine.Notification) error {
	switch name {
	case "receiver":
		return r.str(&n.Receiver)
	case "status":
		return r.str(&n.Status)
	case "groupKey":
		return r.str(&n.GroupKey)
	case "externalURL":
		return r.str(&n.ExternalURL)
	case "groupLabels":
		return r.stringMap(&n.GroupLabels)
	case "commonLabels", "commonAnnotations", "routeLabels":
		return r.stringMap(nil) // every alert carries its own
	case "truncatedAlerts":
		return r.count(&n.Truncated)
	default:
		return r.skip()
	}
}

// complete asks for what every notification carries.
func complete(n engine.Notification, version string, alerts []rawAlert) error {
	switch {
	case version == "":
		return &Malformed{Status: http.StatusBadRequest, Field: "/version", Reason: "missing", Hint: customPayloadHint}
	case version != "4":
		return &Malformed{Status: http.StatusBadRequest, Field: "/version", Reason: fmt.Sprintf("%s is not a version this door knows: it takes \"4\"", quote(version))}
	case n.Status == "":
		return &Malformed{Status: http.StatusBadRequest, Field: "/status", Reason: "missing", Hint: customPayloadHint}
	case n.Status != "firing" && n.Status != "resolved":
		return &Malformed{Status: http.StatusBadRequest, Field: "/status", Reason: quote(n.Status) + " is neither firing nor resolved"}
	case alerts == nil:
		return &Malformed{Status: http.StatusBadRequest, Field: "/alerts", Reason: "missing", Hint: customPayloadHint}
	case len(alerts) == 0:
		return &Malformed{Status: http.StatusBadRequest, Field: "/alerts", Reason: "holds no alert"}
	}
	return nil
}

func (r reader) alerts(into *[]rawAlert) error {
	*into = make([]rawAlert, 0, 1+r.size/1024) // an alert takes half a kilobyte and more
	return r.array(func() error {
		var a rawAlert
		if err := r.object("an alert", alertMembers, func(name string) error { return r.alertMember(name, &a) }); err != nil {
			return err
		}
		switch {
		case a.status != "firing" && a.status != "resolved":
			return malformedAt(r.dec.StackPointer()+"/status", "%s is neither firing nor resolved", quote(a.status))
		case len(a.labels) == 0:
			return malformedAt(r.dec.StackPointer()+"/labels", "an alert has at least one label")
		}
		*into = append(*into, a)
		return nil
	})
}

func (r reader) alertMember(name string, a *rawAlert) error {
	switch name {
	case "status":
		return r.str(&a.status)
	case "fingerprint":
		return r.str(&a.fingerprint)
	case "generatorURL":
		return r.str(&a.generatorURL)
	case "labels":
		return r.stringMap(&a.labels)
	case "annotations":
		return r.stringMap(&a.annotations)
	case "startsAt":
		return r.time(&a.startsAt)
	case "endsAt":
		return r.time(&a.endsAt)
	default:
		return r.skip()
	}
}
