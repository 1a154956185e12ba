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

// Proxy is a small weighted proxy for machines where HAProxy cannot be had. Its admin address takes
// PUT /weights {"blue": 100, "green": 0} and answers GET /weights with the weights and what is under way.
type Proxy struct {
	// URL is where traffic enters, AdminURL where the weights are set.
	URL, AdminURL string

	servers  []*http.Server
	backends map[string]http.Handler
	mu       sync.Mutex
	weights  map[string]int
	flying   map[string]int
	turn     int
}

// Weights is what the admin address takes and gives.
type Weights map[string]int

// StartProxy starts the proxy with all traffic on green.
func StartProxy(blue, green *Service) (*Proxy, error) {
	p := &Proxy{backends: map[string]http.Handler{}, weights: Weights{"blue": 0, "green": 100}, flying: map[string]int{}}
	for _, s := range []*Service{blue, green} {
		to, err := url.Parse(s.URL)
		if err != nil {
			return nil, err
		}
		p.backends[s.Track] = httputil.NewSingleHostReverseProxy(to)
	}
	admin := http.NewServeMux()
	admin.HandleFunc("GET /weights", p.show)
	admin.HandleFunc("PUT /weights", p.set)
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

// pass sends a request to the backend whose turn it is by weight.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	track, ok := p.take()
	if !ok {
		http.Error(w, "every weight is 0", http.StatusServiceUnavailable)
		return
	}
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.flying[track]--
	}()
	p.backends[track].ServeHTTP(w, r)
}

func (p *Proxy) take() (track string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := p.weights["blue"] + p.weights["green"]
	if sum == 0 {
		return "", false
	}
	p.turn = (p.turn + 37) % sum
	track = "green"
	if p.turn < p.weights["blue"] {
		track = "blue"
	}
	p.flying[track]++
	return track, true
}

func (p *Proxy) show(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"weights": p.weights, "under_way": p.flying})
}

// set replaces the weights; both must be named, none negative, and one above 0.
func (p *Proxy) set(w http.ResponseWriter, r *http.Request) {
	var wanted Weights
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	if err := decoder.Decode(&wanted); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := wanted.check(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	p.mu.Lock()
	p.weights = wanted
	p.mu.Unlock()
	p.show(w, r)
}

func (w Weights) check() error {
	blue, hasBlue := w["blue"]
	green, hasGreen := w["green"]
	if !hasBlue || !hasGreen || len(w) != 2 {
		return fmt.Errorf("want weights for blue and green, got %v", map[string]int(w))
	}
	if blue < 0 || green < 0 || blue+green == 0 {
		return errors.New("no weight may be negative, and one must be above 0")
	}
	return nil
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
