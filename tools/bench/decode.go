package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/template"

	"astern.dev/astern/web"
)

// measureDecode reads the same notification strictly with our reader, and as it comes with encoding/json.
func measureDecode(context.Context, string) error {
	for _, alerts := range []int{1, 10, 100} {
		body, err := notification(alerts, "Unknown")
		if err != nil {
			return err
		}
		var failed error
		now := time.Now()
		ours := cost(func() {
			if n, err := web.Decode(body, now); err != nil || len(n.Alerts) != alerts {
				failed = fmt.Errorf("decode %d alerts: %w", alerts, err)
			}
		})
		theirs := cost(func() {
			var data template.Data
			if err := json.Unmarshal(body, &data); err != nil {
				failed = err
			}
		})
		if failed != nil {
			return failed
		}
		figure(fmt.Sprintf("decode-%d-alerts", alerts), ours/1000, "µs")
		figure(fmt.Sprintf("decode-%d-alerts-encoding-json", alerts), theirs/1000, "µs")
		if alerts == 100 {
			ratio("decode-vs-encoding-json", theirs/ours)
		}
	}
	return nil
}

// notification is a delivery as Alertmanager writes it: the instances of one alert.
func notification(alerts int, alertname string) ([]byte, error) {
	starts := time.Now().UTC().Truncate(time.Millisecond)
	common := map[string]string{"alertname": alertname, "environment": "production", "severity": "critical", "service": "api"}
	notes := map[string]string{"summary": "error rate of api above 1 %", "runbook_url": "https://runbooks.example/api/errors"}
	data := template.Data{
		Receiver: "astern", Status: "firing", GroupLabels: template.KV{"alertname": alertname}, CommonLabels: common,
		CommonAnnotations: notes, ExternalURL: "http://alertmanager.example:9093",
	}
	for n := range alerts {
		labels := template.KV{"instance": fmt.Sprintf("10.0.%d.%d:8080", n/250, n%250)}
		for name, value := range common {
			labels[name] = value
		}
		data.Alerts = append(data.Alerts, template.Alert{
			Status: "firing", Labels: labels, Annotations: notes, StartsAt: starts, Fingerprint: fmt.Sprintf("%016x", n),
			GeneratorURL: "http://prometheus.example:9090/graph?g0.expr=service%3Aerror_ratio%3Arate1m+%3E+0.01&g0.tab=1",
		})
	}
	return json.Marshal(struct {
		template.Data
		Version  string `json:"version"`
		GroupKey string `json:"groupKey"`
	}{data, "4", `{}:{alertname="` + alertname + `"}`})
}
