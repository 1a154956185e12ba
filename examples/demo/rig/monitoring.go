package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"astern.dev/astern/examples/demo/config"
)

// Server is Prometheus or Alertmanager: a process with an HTTP address that it keeps over restarts.
type Server struct {
	*Process
	// URL has no slash at the end, Host is host:port.
	URL, Host string

	command Command
	ready   string
}

// startServer starts a program that takes --web.listen-address and tells in its log where it listens.
func startServer(ctx context.Context, c Command, ready string) (*Server, error) {
	s := &Server{Host: "127.0.0.1:0", command: c, ready: ready}
	return s, s.start(ctx)
}

func (s *Server) start(ctx context.Context) error {
	c := s.command
	c.Args = append(append([]string{}, c.Args...), "--web.listen-address="+s.Host)
	p, err := Start(c)
	if err != nil {
		return err
	}
	s.Process = p
	if s.Host, err = p.Address(ctx); err != nil {
		p.Stop()
		return err
	}
	s.URL = "http://" + s.Host
	return ready(ctx, p, s.URL+s.ready)
}

// stop ends the program that runs now: Restart may have replaced the first one.
func (s *Server) stop() { s.Stop() }

// Restart ends the program, if it still runs, and starts it again at the same address with the same data.
func (s *Server) Restart(ctx context.Context) error {
	s.Stop()
	return s.start(ctx)
}

// Reload makes the program read its configuration again.
func (s *Server) Reload(ctx context.Context) error {
	return call(ctx, request{method: http.MethodPost, url: s.URL + "/-/reload"}, nil)
}

func startPrometheus(ctx context.Context, path, dir string, a config.Addresses) (*Prometheus, error) {
	files, err := config.Write(dir, a, "prometheus.yml", "prometheus-rules.yaml")
	if err != nil {
		return nil, err
	}
	// An alert that comes to Alertmanager while it reloads is told only when it is sent again: by default a minute later.
	// Four times the delay is also how long Alertmanager believes in an alert that a slow machine does not send again.
	s, err := startServer(ctx, Command{Name: "prometheus", Path: path, Dir: dir, Args: []string{
		"--config.file=" + files[0], "--storage.tsdb.path=" + filepath.Join(dir, "prometheus"), "--web.enable-lifecycle",
		"--rules.alert.resend-delay=5s",
	}}, "/-/ready")
	return &Prometheus{s}, err
}

// Prometheus is a running Prometheus.
type Prometheus struct{ *Server }

// Value asks an instant query that must answer with one series.
func (p *Prometheus) Value(ctx context.Context, query string) (float64, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := getJSON(ctx, p.URL+"/api/v1/query?query="+url.QueryEscape(query), &answer); err != nil {
		return 0, err
	}
	if len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("%s: %d series, want one", query, len(answer.Data.Result))
	}
	var value float64
	_, err := fmt.Sscan(fmt.Sprint(answer.Data.Result[0].Value[1]), &value)
	return value, err
}

func startAlertmanager(ctx context.Context, path, dir string) (*Alertmanager, error) {
	// It is started before astern, so its first configuration tells nobody; Route writes the real one.
	file := filepath.Join(dir, "alertmanager.yml")
	if err := writeFile(file, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"); err != nil {
		return nil, err
	}
	s, err := startServer(ctx, Command{Name: "alertmanager", Path: path, Dir: dir, Args: []string{
		"--config.file=" + file, "--storage.path=" + filepath.Join(dir, "alertmanager"), "--cluster.listen-address=",
	}}, "/-/ready")
	m := &Alertmanager{s, dir}
	if err == nil {
		err = m.hears(ctx)
	}
	return m, err
}

// Alertmanager is a running Alertmanager.
type Alertmanager struct {
	*Server
	dir string
}

// Restart ends it, its silences written, and starts it again.
func (m *Alertmanager) Restart(ctx context.Context) error {
	if err := m.Server.Restart(ctx); err != nil {
		return err
	}
	return m.hears(ctx)
}

// hears waits for its main loop: it is ready a little before it hears a signal, and one that is ended then loses its
// silences. What takes a reload hears.
func (m *Alertmanager) hears(ctx context.Context) error { return m.Reload(ctx) }

// Route writes the demo's routes, with astern's address in them, and reloads.
func (m *Alertmanager) Route(ctx context.Context, a config.Addresses) error {
	if _, err := config.Write(m.dir, a, "alertmanager.yml"); err != nil {
		return err
	}
	return m.Reload(ctx)
}

// Post sends an alert with the labels, as Prometheus does. A zero end means that it fires.
func (m *Alertmanager) Post(ctx context.Context, labels map[string]string, start, end time.Time) error {
	alert := map[string]any{"labels": labels, "startsAt": start}
	if !end.IsZero() {
		alert["endsAt"] = end
	}
	body, err := json.Marshal([]any{alert})
	if err != nil {
		return err
	}
	return call(ctx, request{method: http.MethodPost, url: m.URL + "/api/v2/alerts", body: string(body)}, nil)
}

// Silence silences alerts with the label for the given time and gives the silence's id.
func (m *Alertmanager) Silence(ctx context.Context, label, value string, from time.Time, length time.Duration) (string, error) {
	body, err := json.Marshal(map[string]any{
		"matchers": []any{map[string]any{"name": label, "value": value, "isRegex": false, "isEqual": true}},
		"startsAt": from, "endsAt": from.Add(length), "createdBy": "on-call", "comment": "I have it",
	})
	if err != nil {
		return "", err
	}
	var answer struct {
		ID string `json:"silenceID"`
	}
	err = call(ctx, request{method: http.MethodPost, url: m.URL + "/api/v2/silences", body: string(body)}, &answer)
	return answer.ID, err
}

// Unsilence ends a silence now.
func (m *Alertmanager) Unsilence(ctx context.Context, id string) error {
	return call(ctx, request{method: http.MethodDelete, url: m.URL + "/api/v2/silence/" + id}, nil)
}

// Receivers tells which receivers each alert goes to, by alertname.
func (m *Alertmanager) Receivers(ctx context.Context) (map[string][]string, error) {
	var alerts []struct {
		Labels    map[string]string `json:"labels"`
		Receivers []struct {
			Name string `json:"name"`
		} `json:"receivers"`
	}
	if err := getJSON(ctx, m.URL+"/api/v2/alerts", &alerts); err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, alert := range alerts {
		for _, r := range alert.Receivers {
			out[alert.Labels["alertname"]] = append(out[alert.Labels["alertname"]], r.Name)
		}
	}
	return out, nil
}
