package backtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"astern.dev/astern/actions/client"
)

// forward lets the simulated world's Prometheus be the real one: what the engine asks at a virtual time is a question
// about that time in the past. The same question is asked once. It is safe for concurrent use.
type forward struct {
	root *url.URL
	http *client.HTTP
	stop context.CancelCauseFunc // ends the run: an answer that is missing must not count as one

	mu    sync.Mutex
	known map[string]client.Answer
	ended map[string]string // the key in known, by query and end of its range
}

func newForward(p *past, stop context.CancelCauseFunc) (*forward, error) {
	root, err := client.ParseRoot(p.URL)
	return &forward{root: root, http: p.HTTP, stop: stop, known: map[string]client.Answer{}, ended: map[string]string{}}, err
}

// ServeHTTP hands a question on.
func (f *forward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := f.answer(r)
	if err != nil {
		f.stop(fmt.Errorf("ask Prometheus what a rule asks: %w", err))
		http.Error(w, "no answer", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body) // the engine counts an answer that breaks off as none
}

// answer is the server's, be it a result or a refusal of the question. Anything else would pass for "unknown" and hide
// what the rule would have done.
func (f *forward) answer(r *http.Request) (client.Answer, error) {
	key := r.URL.Path + "?" + r.URL.RawQuery
	f.mu.Lock()
	known, ok := f.known[key]
	f.mu.Unlock()
	if ok {
		return known, nil
	}
	address := *f.root
	address.Path += r.URL.Path
	address.RawQuery = r.URL.RawQuery
	answer, err := f.http.Get(r.Context(), address.String(), nil)
	switch {
	case r.Context().Err() != nil:
		return answer, fmt.Errorf("%s took longer to answer than a guard waits", f.root.Host)
	case err != nil:
		return answer, err
	case client.Temporary(answer.Status), answer.Status/100 == 3, answer.Status == http.StatusUnauthorized, answer.Status == http.StatusForbidden:
		return answer, fmt.Errorf("%s answered %d", f.root.Host, answer.Status)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[key] = answer
	if form := r.URL.Query(); form.Has("end") {
		f.ended[form.Get("end")+" "+form.Get("query")] = key
	}
	return answer, nil
}

// seen are the values of the answer to a query that looked back from a time; ok is false when it was not asked then.
func (f *forward) seen(query string, at time.Time) (Values, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key, asked := f.ended[strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)+" "+query]
	if !asked {
		return Values{}, false
	}
	return valuesOf(query, f.known[key].Body)
}

func valuesOf(query string, body []byte) (Values, bool) {
	var said struct {
		Data struct {
			Result model.Matrix `json:"result"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &said) != nil || len(said.Data.Result) != 1 {
		return Values{}, false
	}
	v := Values{Query: query}
	for _, pair := range said.Data.Result[0].Values {
		value := float64(pair.Value)
		if v.Points == 0 || value < v.Least {
			v.Least = value
		}
		if v.Points == 0 || value > v.Most {
			v.Most = value
		}
		v.Points++
	}
	return v, v.Points > 0
}

// Values are what a confirm query answered over its window.
type Values struct {
	Query  string  `json:"query"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
	Points int     `json:"points"`
}
