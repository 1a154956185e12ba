package prom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// maxPoints is how many points of a series Prometheus gives at most.
const maxPoints = 11000

// answer is Prometheus' JSON around every result.
type answer struct {
	Status    string   `json:"status"`
	Data      *data    `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

type data struct {
	ResultType parser.ValueType `json:"resultType"`
	Result     json.RawMessage  `json:"result"`
}

// refusal is an answer that is no result.
type refusal struct {
	status int
	kind   string
	err    error
}

func badData(err error) *refusal { return &refusal{http.StatusBadRequest, "bad_data", err} }

func invalid(name string, err error) *refusal {
	return badData(fmt.Errorf("invalid parameter %q: %w", name, err))
}

// ServeHTTP answers /api/v1/query and /api/v1/query_range, under whatever prefix, as Prometheus does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body := s.answer(r)
	w.Header().Set("Content-Type", "application/json")
	if body == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(http.StatusText(status) + "\n")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever went away needs no answer
}

// answer holds the server to itself; writing to a slow reader does not.
func (s *Server) answer(r *http.Request) (int, []byte) {
	defer s.enter()()
	ask := s.asker(r.URL.Path)
	switch {
	case s.down:
		return http.StatusServiceUnavailable, nil
	case ask == nil:
		return http.StatusNotFound, nil
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, nil
	}
	s.memory.horizon = s.horizon()
	said, refused := ask(r)
	if refused != nil {
		return encodeAnswer(refused.status, answer{Status: "error", ErrorType: refused.kind, Error: refused.err.Error()})
	}
	return encodeAnswer(http.StatusOK, said)
}

func encodeAnswer(status int, said answer) (int, []byte) {
	body, err := json.Marshal(said)
	if err != nil {
		return http.StatusInternalServerError, nil
	}
	return status, body
}

func (s *Server) asker(path string) func(*http.Request) (answer, *refusal) {
	switch {
	case strings.HasSuffix(path, "/api/v1/query"):
		return s.query
	case strings.HasSuffix(path, "/api/v1/query_range"):
		return s.queryRange
	}
	return nil
}

// query answers for one time.
func (s *Server) query(r *http.Request) (answer, *refusal) {
	limit, refused := readLimit(r)
	if refused != nil {
		return answer{}, refused
	}
	at := s.now
	if text := r.FormValue("time"); text != "" {
		var err error
		if at, err = parseTime(text); err != nil {
			return answer{}, invalid("time", fmt.Errorf("invalid time value for 'time': %w", err))
		}
	}
	opts, refused := readOpts(r)
	if refused != nil {
		return answer{}, refused
	}
	q, err := s.engine.NewInstantQuery(r.Context(), s.memory, opts, r.FormValue("query"), at)
	return execute(r.Context(), q, err, asked{r.FormValue("query"), limit})
}

// queryRange answers for each step from a start to an end.
func (s *Server) queryRange(r *http.Request) (answer, *refusal) {
	limit, refused := readLimit(r)
	if refused != nil {
		return answer{}, refused
	}
	span, refused := readSpan(r)
	if refused != nil {
		return answer{}, refused
	}
	opts, refused := readOpts(r)
	if refused != nil {
		return answer{}, refused
	}
	q, err := s.engine.NewRangeQuery(r.Context(), s.memory, opts, r.FormValue("query"), span.start, span.end, span.step)
	return execute(r.Context(), q, err, asked{r.FormValue("query"), limit})
}

type asked struct {
	query string
	limit int
}

func execute(ctx context.Context, q promql.Query, err error, what asked) (answer, *refusal) {
	if err != nil {
		return answer{}, invalid("query", err)
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return answer{}, refusalOf(result.Err)
	}
	value, warnings := truncate(result.Value, what.limit), result.Warnings
	if value.cut {
		warnings = warnings.Add(errors.New("results truncated due to limit"))
	}
	// Written out before the query is closed: closing gives its points back to a pool that all engines of the program share.
	written, err := json.Marshal(value.Value)
	if err != nil {
		return answer{}, refusalOf(err)
	}
	said := answer{Status: "success", Data: &data{result.Value.Type(), written}}
	said.Warnings, said.Infos = warnings.AsStrings(what.query, 0, 0)
	slices.Sort(said.Warnings) // they come out of a map
	slices.Sort(said.Infos)
	return said, nil
}

func refusalOf(err error) *refusal {
	var canceled promql.ErrQueryCanceled
	var timeout promql.ErrQueryTimeout
	var broken promql.ErrStorage
	switch {
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return &refusal{499, "canceled", err}
	case errors.As(err, &timeout):
		return &refusal{http.StatusServiceUnavailable, "timeout", err}
	case errors.As(err, &broken):
		return &refusal{http.StatusInternalServerError, "internal", err}
	}
	return &refusal{http.StatusUnprocessableEntity, "execution", err}
}

type shown struct {
	parser.Value
	cut bool
}

// truncate keeps at most limit series; none at all are an empty list, not null.
func truncate(value parser.Value, limit int) shown {
	switch v := value.(type) {
	case promql.Vector:
		cut := limit > 0 && len(v) > limit
		if cut {
			v = v[:limit]
		}
		return shown{append(promql.Vector{}, v...), cut}
	case promql.Matrix:
		cut := limit > 0 && len(v) > limit
		if cut {
			v = v[:limit]
		}
		return shown{append(promql.Matrix{}, v...), cut}
	}
	return shown{value, false}
}

func readLimit(r *http.Request) (int, *refusal) {
	text := r.FormValue("limit")
	if text == "" {
		return 0, nil
	}
	limit, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, invalid("limit", err)
	case limit < 0:
		return 0, invalid("limit", errors.New("limit must be non-negative"))
	}
	return limit, nil
}

// readOpts reads what shapes the evaluation. A time-out is checked and no more: a query takes no virtual time.
func readOpts(r *http.Request) (promql.QueryOpts, *refusal) {
	if text := r.FormValue("timeout"); text != "" {
		if _, err := parseDuration(text); err != nil {
			return nil, invalid("timeout", err)
		}
	}
	lookback := time.Duration(0)
	if text := r.FormValue("lookback_delta"); text != "" {
		var err error
		if lookback, err = parseDuration(text); err != nil {
			return nil, badData(fmt.Errorf("error parsing lookback delta duration: %w", err))
		}
	}
	return promql.NewPrometheusQueryOpts(false, lookback), nil
}

type span struct {
	start, end time.Time
	step       time.Duration
}

func readSpan(r *http.Request) (s span, refused *refusal) {
	var err error
	if s.start, err = parseTime(r.FormValue("start")); err != nil {
		return s, invalid("start", err)
	}
	if s.end, err = parseTime(r.FormValue("end")); err != nil {
		return s, invalid("end", err)
	}
	if s.end.Before(s.start) {
		return s, invalid("end", errors.New("end timestamp must not be before start time"))
	}
	if s.step, err = parseDuration(r.FormValue("step")); err != nil {
		return s, invalid("step", err)
	}
	if s.step <= 0 {
		return s, invalid("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	}
	if s.end.Sub(s.start)/s.step > maxPoints {
		return s, badData(errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"))
	}
	return s, nil
}

// parseTime reads seconds since 1970 or RFC 3339.
func parseTime(text string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		whole, rest := math.Modf(seconds)
		rest = math.Round(rest*1000) / 1000
		return time.Unix(int64(whole), int64(rest*float64(time.Second))).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", text)
}

// parseDuration reads seconds or Prometheus' own notation.
func parseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		nanoseconds := seconds * float64(time.Second)
		if nanoseconds > float64(math.MaxInt64) || nanoseconds < float64(math.MinInt64) {
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", text)
		}
		return time.Duration(nanoseconds), nil
	}
	if d, err := model.ParseDuration(text); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration", text)
}
