package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

// What Prometheus and Alertmanager know of themselves: asked when a configuration is first written, never by an action.

// AlertRule is one alerting rule as Prometheus has it loaded.
type AlertRule struct {
	// Group and File are where it is written.
	Group, File string
	Name, Query string
	// Wait is its `for`.
	Wait                time.Duration
	Labels, Annotations map[string]string
}

type promRules struct {
	Groups []struct {
		Name  string `json:"name"`
		File  string `json:"file"`
		Rules []struct {
			Type        string            `json:"type"`
			Name        string            `json:"name"`
			Query       string            `json:"query"`
			Duration    float64           `json:"duration"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"rules"`
	} `json:"groups"`
}

// AlertRules lists the alerting rules in the order of their groups.
func (p *Prometheus) AlertRules(ctx context.Context) ([]AlertRule, error) {
	var read promRules
	if err := p.tell(ctx, "/api/v1/rules", url.Values{"type": {"alert"}, "exclude_alerts": {"true"}}, &read); err != nil {
		return nil, err
	}
	var all []AlertRule
	for _, g := range read.Groups {
		for _, r := range g.Rules {
			if r.Type == "alerting" {
				all = append(all, AlertRule{Group: g.Name, File: g.File, Name: r.Name, Query: r.Query,
					Wait: time.Duration(r.Duration * float64(time.Second)), Labels: r.Labels, Annotations: r.Annotations})
			}
		}
	}
	return all, nil
}

// LabelSets lists the label sets of the series that match a selector and had a sample between two times. limit bounds
// how many are told; 0 is no bound.
func (p *Prometheus) LabelSets(ctx context.Context, selector string, start, end time.Time, limit int) ([]map[string]string, error) {
	var sets []map[string]string
	err := p.tell(ctx, "/api/v1/series", spanned(selector, start, end, limit), &sets)
	return sets, err
}

// MetricNames lists the names of the series that match a selector and had a sample between two times.
func (p *Prometheus) MetricNames(ctx context.Context, selector string, start, end time.Time, limit int) ([]string, error) {
	var names []string
	err := p.tell(ctx, "/api/v1/label/__name__/values", spanned(selector, start, end, limit), &names)
	return names, err
}

func spanned(selector string, start, end time.Time, limit int) url.Values {
	form := url.Values{"match[]": {selector}, "start": {stamp(start)}, "end": {stamp(end)}}
	if limit > 0 {
		form.Set("limit", strconv.Itoa(limit))
	}
	return form
}

// ActiveAlerts lists the labels of the alerts that are pending or firing, without the external labels.
func (p *Prometheus) ActiveAlerts(ctx context.Context) ([]map[string]string, error) {
	var read struct {
		Alerts []struct {
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if err := p.tell(ctx, "/api/v1/alerts", nil, &read); err != nil {
		return nil, err
	}
	all := make([]map[string]string, len(read.Alerts))
	for i, a := range read.Alerts {
		all[i] = a.Labels
	}
	return all, nil
}

// ExternalLabels are the labels that Prometheus adds to what it sends, alerts among it.
func (p *Prometheus) ExternalLabels(ctx context.Context) (map[string]string, error) {
	var read struct {
		YAML string `json:"yaml"`
	}
	if err := p.tell(ctx, "/api/v1/status/config", nil, &read); err != nil {
		return nil, err
	}
	var config struct {
		Global struct {
			ExternalLabels map[string]string `yaml:"external_labels"`
		} `yaml:"global"`
	}
	if err := yaml.Unmarshal([]byte(read.YAML), &config); err != nil {
		return nil, fmt.Errorf("%s answered with a configuration that is no YAML", p.root.Host)
	}
	return config.Global.ExternalLabels, nil
}

// tell is askInto where a warning counts as an answer: it says that a bound was reached.
func (p *Prometheus) tell(ctx context.Context, path string, form url.Values, into any) error {
	_, err := p.askInto(ctx, path, form, into)
	return err
}

// AlertmanagerStatus is what Alertmanager says of itself.
type AlertmanagerStatus struct {
	// Config is its configuration as it reads it; secrets stand in it as <secret>.
	Config, Version string
}

// Status asks for the version and the configuration.
func (a *Alertmanager) Status(ctx context.Context) (AlertmanagerStatus, error) {
	address := *a.root
	address.Path += "/api/v2/status"
	answer, err := a.http.Get(ctx, address.String(), nil)
	if err != nil {
		return AlertmanagerStatus{}, err
	}
	if answer.Status/100 != 2 {
		return AlertmanagerStatus{}, a.refused(answer)
	}
	var said struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
		VersionInfo struct {
			Version string `json:"version"`
		} `json:"versionInfo"`
	}
	if json.Unmarshal(answer.Body, &said) != nil || said.Config.Original == "" {
		return AlertmanagerStatus{}, fmt.Errorf("%s answered with something that is not Alertmanager's status", a.root.Host)
	}
	return AlertmanagerStatus{said.Config.Original, said.VersionInfo.Version}, nil
}
