package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Proxy is a small proxy for machines where HAProxy cannot be had. Its admin address takes PUT /traffic {"to": "blue"},
// answers GET /traffic with where the traffic goes, and GET /idle/green with 200 once nothing is under way there.
type Proxy struct {
	// URL is where traffic enters, AdminURL where it is steered.
	URL, AdminURL string

	servers  []*http.Server
	backends map[string]http.Handler
	mu       sync.Mutex
	to       string
	underWay map[string]int
}

// StartProxy starts the proxy with all traffic on green.
func StartProxy(blue, green *Service) (*Proxy, error) {
	p := &Proxy{backends: map[string]http.Handler{}, to: green.Track, underWay: map[string]int{}}
	for _, s := range []*Service{blue, green} {
		to, err := url.Parse(s.URL)
		if err != nil {
			return nil, err
		}
		p.backends[s.Track] = httputil.NewSingleHostReverseProxy(to)
	}
	admin := http.NewServeMux()
	admin.HandleFunc("GET /traffic", p.show)
	admin.HandleFunc("PUT /traffic", p.steer)
	admin.HandleFunc("GET /idle/{track}", p.idle)
	var err error
	if p.URL, err = p.serve(http.HandlerFunc(p.pass)); err != nil {
		return nil, err
	}
	p.AdminURL, err = p.serve(admin)
	return p, err
}

func (p *Proxy) serve(h http.Handler) (string, error) {
	server, url, err := serve(h)
	if err == nil {
		p.servers = append(p.servers, server)
	}
	return url, err
}

// pass sends a request where the traffic goes now.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	track := p.to
	p.underWay[track]++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.underWay[track]--
	}()
	p.backends[track].ServeHTTP(w, r)
}

func (p *Proxy) show(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"to": p.to, "under_way": p.underWay})
}

func (p *Proxy) steer(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		To string `json:"to"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wanted); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if p.backends[wanted.To] == nil {
		http.Error(w, fmt.Sprintf("there is no track %q", wanted.To), http.StatusUnprocessableEntity)
		return
	}
	p.mu.Lock()
	p.to = wanted.To
	p.mu.Unlock()
	p.show(w, r)
}

// idle answers 409 while the track has traffic or requests under way.
func (p *Proxy) idle(w http.ResponseWriter, r *http.Request) {
	track := r.PathValue("track")
	p.mu.Lock()
	n, active := p.underWay[track], p.to == track
	p.mu.Unlock()
	switch {
	case p.backends[track] == nil:
		http.Error(w, fmt.Sprintf("there is no track %q", track), http.StatusNotFound)
	case n > 0 || active:
		http.Error(w, fmt.Sprintf("%d requests under way, traffic goes there: %t", n, active), http.StatusConflict)
	default:
		fmt.Fprintln(w, "idle")
	}
}

// Stop closes both addresses.
func (p *Proxy) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var failed []error
	for _, s := range p.servers {
		_ = s.Shutdown(ctx)
		failed = append(failed, s.Close())
	}
	return errors.Join(failed...)
}
