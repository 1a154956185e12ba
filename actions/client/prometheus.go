package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"astern.dev/astern/actions"
)

// What a reading can come to beside a value. Each means unknown: neither good nor bad.
var (
	// ErrEmpty: the query answered with no series.
	ErrEmpty = errors.New("no series")
	// ErrSeveral: the query answered with more than one series.
	ErrSeveral = errors.New("more than one series")
	// ErrNoLookback: the server does not heed lookback_delta, so that old samples would pass for fresh ones.
	ErrNoLookback = errors.New("the server ignores lookback_delta: it cannot prove that a sample is fresh (Prometheus 2.43 or newer can)")
	// ErrPartial: the server answered with a warning; something may be missing.
	ErrPartial = errors.New("the answer came with a warning")
)

// Prometheus reads from a Prometheus server. It is safe for concurrent use.
type Prometheus struct {
	root     *url.URL
	http     *HTTP
	lookback atomic.Bool // the server was seen to heed lookback_delta
}

// NewPrometheus reads from the server at root through h.
func NewPrometheus(root *url.URL, h *HTTP) *Prometheus { return &Prometheus{root: root, http: h} }

// Point is one value at one time. Value may be NaN or infinite.
type Point struct {
	At    time.Time
	Value float64
}

// Sample is the value of the one series a query answered with.
type Sample struct {
	Labels map[string]string
	Point
}

// Series is one series of a range.
type Series struct {
	Labels map[string]string
	Points []Point
}

// RangeQuery asks for a value every Step from Start to End, both included. LookbackDelta is how old a sample may be to
// count at each of them; zero leaves it to the server (5 min), which hides gaps.
type RangeQuery struct {
	Query         string
	Start, End    time.Time
	Step          time.Duration
	LookbackDelta time.Duration
}

// Query evaluates an expression at one time. It must come to a scalar or exactly one series: ErrEmpty, ErrSeveral.
// The server's own lookback holds; QueryRange with a LookbackDelta proves freshness.
func (p *Prometheus) Query(ctx context.Context, query string, at time.Time) (Sample, error) {
	form := url.Values{"query": {query}, "time": {stamp(at)}}
	data, err := p.ask(ctx, "/api/v1/query", form)
	if err != nil {
		return Sample{}, err
	}
	series, err := data.series()
	if err != nil {
		return Sample{}, err
	}
	one, err := One(series)
	if err != nil {
		return Sample{}, err
	}
	if len(one.Points) != 1 {
		return Sample{}, fmt.Errorf("query answered with a %s, not with one value", data.ResultType)
	}
	return Sample{one.Labels, one.Points[0]}, nil
}

// QueryRange evaluates an expression over a time. Gaps stay gaps: a series may have fewer points than were asked for.
func (p *Prometheus) QueryRange(ctx context.Context, q RangeQuery) ([]Series, error) {
	form := url.Values{"query": {q.Query}, "start": {stamp(q.Start)}, "end": {stamp(q.End)}, "step": {seconds(q.Step)}}
	if q.LookbackDelta > 0 {
		if err := p.needLookback(ctx); err != nil {
			return nil, err
		}
		form.Set("lookback_delta", seconds(q.LookbackDelta))
	}
	data, err := p.ask(ctx, "/api/v1/query_range", form)
	if err != nil {
		return nil, err
	}
	return data.series()
}

// One gives the only series: ErrEmpty, ErrSeveral.
func One(series []Series) (Series, error) {
	switch len(series) {
	case 0:
		return Series{}, ErrEmpty
	case 1:
		return series[0], nil
	}
	return Series{}, fmt.Errorf("%w: %d", ErrSeveral, len(series))
}

// needLookback finds out once whether the server heeds lookback_delta: one that does refuses a value that is no duration.
func (p *Prometheus) needLookback(ctx context.Context) error {
	if p.lookback.Load() {
		return nil
	}
	_, err := p.ask(ctx, "/api/v1/query", url.Values{"query": {"1"}, "lookback_delta": {"x"}})
	var refused *RefusedError
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusBadRequest && strings.Contains(refused.Text, "lookback"):
		p.lookback.Store(true)
		return nil
	case err == nil, errors.As(err, &refused) && !Temporary(refused.Status):
		return ErrNoLookback
	}
	return fmt.Errorf("ask whether lookback_delta is heeded: %w", err)
}

// RefusedError is a server's answer that is no result: its status and what it said.
type RefusedError struct {
	What, Kind, Text string
	Status           int
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%s answered %d", e.What, e.Status)
	if e.Kind != "" {
		text += " " + e.Kind
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

type promAnswer struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
}

// ask is askInto for the answers of queries. One with a warning is none: something may be missing.
func (p *Prometheus) ask(ctx context.Context, path string, form url.Values) (promData, error) {
	var data promData
	warnings, err := p.askInto(ctx, path, form, &data)
	if err == nil && len(warnings) > 0 {
		err = fmt.Errorf("%w: %s", ErrPartial, p.http.Scrub(oneLine(warnings[0])))
	}
	return data, err
}

// askInto reads data of any form, and what the server warns of.
func (p *Prometheus) askInto(ctx context.Context, path string, form url.Values, into any) (warnings []string, err error) {
	address := *p.root
	address.Path += path
	address.RawQuery = form.Encode()
	answer, err := p.http.Get(ctx, address.String(), nil)
	if err != nil {
		return nil, err
	}
	var said promAnswer
	wrong := json.Unmarshal(answer.Body, &said) != nil || said.Status == ""
	if answer.Status/100 != 2 || !wrong && said.Status != "success" {
		return nil, p.refusal(said, answer.Status)
	}
	if wrong || json.Unmarshal(said.Data, into) != nil {
		return nil, fmt.Errorf("%s answered with something that is not Prometheus' JSON", p.root.Host)
	}
	return said.Warnings, nil
}

func (p *Prometheus) refusal(said promAnswer, status int) error {
	refused := &RefusedError{What: p.root.Host, Kind: said.ErrorType, Text: p.http.Scrub(oneLine(said.Error)), Status: status}
	if Temporary(status) {
		return refused
	}
	return actions.Permanent(refused)
}

// oneLine bounds a stranger's text for an error.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}

func stamp(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
