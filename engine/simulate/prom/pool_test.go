package prom_test

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/simulate/prom"
)

// Many servers answer side by side, each with its own values: Prometheus' engine keeps its points in a pool that all of
// the program share.
func TestServersDoNotMixTheirAnswers(t *testing.T) {
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			value := strconv.Itoa(100 + n)
			start := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
			s := prom.New(prom.Options{Start: start, Interval: 15 * time.Second})
			if err := s.Load("m", value+"x50"); err != nil {
				t.Error(err)
				return
			}
			ask := "/api/v1/query_range?query=m&step=15&start=" + strconv.FormatInt(start.Unix(), 10) + "&end=" + strconv.FormatInt(start.Add(10*time.Minute).Unix(), 10)
			for range 400 {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", ask, nil))
				if strings.Count(w.Body.String(), `"`+value+`"`) != 41 {
					t.Errorf("want 41 times %s, got %s", value, w.Body.String())
					return
				}
			}
		})
	}
	group.Wait()
	require.False(t, t.Failed())
}
