package pagerdutytest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func send(s *Server, path, body string) int {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(strings.ReplaceAll(body, "KEY", RoutingKey)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code
}

const good = `{"routing_key":"KEY","event_action":"trigger","dedup_key":"a","payload":{"summary":"s","source":"x","severity":"error"}}`

func TestTheDoubleRefusesWhatPagerDutyRefuses(t *testing.T) {
	for _, change := range [][2]string{
		{`"KEY"`, `"short"`}, {`"KEY"`, `"00000000000000000000000000000000"`}, {`"trigger"`, `"page"`}, {`"s"`, `""`},
		{`"s"`, `"` + strings.Repeat("x", 1025) + `"`}, {`"x"`, `""`}, {`"error"`, `"sev1"`}, {`"a"`, `"` + strings.Repeat("x", 256) + `"`},
		{`"source"`, `"sauce"`}, {`"trigger"`, `"resolve"`}, {`"payload":`, `"links":[{"href":""}],"payload":`},
		{`"source"`, `"timestamp":"now","source"`}, {good, `{`},
	} {
		s := New()
		require.Equal(t, http.StatusBadRequest, send(s, "/v2/enqueue", strings.Replace(good, change[0], change[1], 1)), change[1])
		require.Empty(t, s.Pages())
		require.Len(t, s.Rejected(), 1)
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, send(New(), "/v2/enqueue", strings.Repeat(" ", bodyLimit+1)))
	require.Equal(t, http.StatusNotFound, send(New(), "/generic/create_event.json", good))
	require.Equal(t, http.StatusBadRequest, send(New(), "/v2/change/enqueue", `{"routing_key":"KEY"}`))
}

func TestAlertsByTheirKey(t *testing.T) {
	s := New()
	s.AddKey("11111111111111111111111111111111")
	settle := func(key, action string) {
		body := `{"routing_key":"` + key + `","event_action":"` + action + `","dedup_key":"a"}`
		require.Equal(t, http.StatusAccepted, send(s, "/v2/enqueue", body), "what has no effect is accepted, too")
	}
	settle("KEY", "resolve")
	require.Equal(t, http.StatusAccepted, send(s, "/v2/enqueue", good))
	require.Equal(t, http.StatusAccepted, send(s, "/v2/enqueue", good))
	require.Len(t, s.Pages(), 1, "an open alert pages once")
	require.Len(t, s.Alerts()[0].Log, 2)
	settle("11111111111111111111111111111111", "resolve")
	require.Len(t, s.Open(), 1, "another integration has no say")
	settle("KEY", "acknowledge")
	require.Equal(t, Acknowledged, s.Alerts()[0].Status)
	settle("KEY", "resolve")
	require.Empty(t, s.Open())
	require.Equal(t, http.StatusAccepted, send(s, "/v2/enqueue", good))
	require.Len(t, s.Pages(), 2, "a late trigger pages again")
	s.Resolve("a")
	require.Empty(t, s.Open())
}
