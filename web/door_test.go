package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

func TestEveryRealDeliveryIsTaken(t *testing.T) {
	f := newFixture(t)
	for name, body := range payloads(t) {
		t.Run(name, func(t *testing.T) {
			before := len(f.handed())
			a := f.deliver(string(body))
			require.Equal(t, 200, a.StatusCode, string(a.body))
			require.Equal(t, "application/json", a.Header.Get("Content-Type"))
			var whole struct{ Alerts []any }
			require.NoError(t, json.Unmarshal(body, &whole))
			var r Receipt
			require.NoError(t, json.Unmarshal(a.body, &r))
			require.Equal(t, header("Receipt"), r.Header)
			require.Equal(t, len(whole.Alerts), r.Alerts)
			sum := 0
			for _, n := range r.Decisions {
				sum += n
			}
			require.Equal(t, len(whole.Alerts), sum, "every alert has its decision")
			require.Len(t, f.handed(), before+1)
			require.Equal(t, "am-bearer", f.handed()[before].Source)
			require.Len(t, f.handed()[before].Alerts, len(whole.Alerts))
		})
	}
	require.EqualValues(t, len(payloads(t)), f.metric("astern_deliveries_total", "source", "am-bearer", "result", "stored"))
}

func TestMalformedBodiesReachNobody(t *testing.T) {
	f := newFixture(t)
	for _, c := range malformedBodies {
		t.Run(c.class+" "+c.name, func(t *testing.T) {
			a := f.deliver(c.body)
			require.Equal(t, 400, a.StatusCode, string(a.body))
			p := a.problem(t)
			require.Equal(t, "malformed", p.Code)
			require.Equal(t, c.field, p.Field)
		})
	}
	require.Empty(t, f.handed())
	require.Zero(t, f.metric("astern_http_panics_total"))
	require.EqualValues(t, len(malformedBodies), f.metric("astern_deliveries_total", "result", "malformed"))
}

func TestRequestsAroundTheBodyAreRefused(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BodyLimit = 4096 })
	long := broken(`"receiver":"astern"`, `"receiver":"`+strings.Repeat("a", 4096)+`"`)
	for _, c := range []struct {
		class, name, body string
		change            func(*http.Request)
		status            int
		code              string
	}{
		{"12", "too long, and says so", long, header_("X", "y"), 413, "too_large"},
		{"12", "too long, and does not say", long, func(r *http.Request) { r.ContentLength = -1 }, 413, "too_large"},
		{"13", "gzip", good, header_("Content-Encoding", "gzip"), 415, "unsupported_media_type"},
		{"13", "br, gzip", good, header_("Content-Encoding", "br, gzip"), 415, "unsupported_media_type"},
		{"14", "no type", good, header_("Content-Type", ""), 415, "unsupported_media_type"},
		{"14", "text", good, header_("Content-Type", "text/plain"), 415, "unsupported_media_type"},
		{"14", "form", good, header_("Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media_type"},
		{"14", "UTF-16", good, header_("Content-Type", "application/json; charset=utf-16"), 415, "unsupported_media_type"},
		{"14", "broken type", good, header_("Content-Type", "application/json;;"), 415, "unsupported_media_type"},
	} {
		t.Run(c.class+" "+c.name, func(t *testing.T) {
			a := f.deliver(c.body, c.change)
			require.Equal(t, c.status, a.StatusCode, string(a.body))
			require.Equal(t, c.code, a.problem(t).Code)
		})
	}
	require.Empty(t, f.handed())
	for _, kind := range []string{"application/json; charset=utf-8", "Application/JSON;charset=UTF-8"} {
		require.Equal(t, 200, f.deliver(good, header_("Content-Type", kind)).StatusCode)
	}
	require.Equal(t, 200, f.deliver(good, header_("Content-Encoding", "identity")).StatusCode)
}

func TestTheDoorAnswersWithAndWithoutATrailingSlashAndNeverRedirects(t *testing.T) {
	f := newFixture(t)
	for path, status := range map[string]int{
		"/api/v1/alertmanager": 200, "/api/v1/alertmanager/": 200, "/api/v1/alertmanager?from=eu": 200,
		"//api/v1/alertmanager": 404, "/api/v1/alertmanager//": 404, "/api/v1/./alertmanager": 404, "/api//v1/alertmanager": 404,
		"/x/../api/v1/alertmanager": 404, "/API/v1/alertmanager": 404, "/api/v1/alertmanager/x": 404, "/api/v1": 404,
	} {
		t.Run(path, func(t *testing.T) {
			a := f.send(f.request("POST", path, good, bearer(senderToken)))
			require.Equal(t, status, a.StatusCode, string(a.body))
			require.Empty(t, a.Header.Get("Location"))
		})
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
		for _, path := range []string{"/api/v1/alertmanager", "/api/v1/alertmanager/"} {
			a := f.send(f.request(method, path, "", bearer(senderToken)))
			require.Equal(t, 405, a.StatusCode, method)
			require.Equal(t, "POST", a.Header.Get("Allow"))
		}
	}
	require.Len(t, f.handed(), 3)
}

func TestWhatIsTemporaryIs503AndNothingIsAsked429(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		err    error
		status int
		result string
	}{
		{incident.ErrUnavailable, 503, "unavailable"},
		{fmt.Errorf("append: %w", incident.ErrUnavailable), 503, "unavailable"},
		{incident.ErrConflict, 503, "unavailable"},
		{engine.ErrDraining, 503, "unavailable"},
		{context.DeadlineExceeded, 503, "unavailable"},
		{errors.New("canary: an inner matter"), 500, "error"},
	} {
		f.receive = func(context.Context, engine.Notification) (engine.Receipt, error) { return engine.Receipt{}, c.err }
		before := f.metric("astern_deliveries_total", "result", c.result)
		a := f.deliver(good)
		require.Equal(t, c.status, a.StatusCode)
		require.NotContains(t, string(a.body), "canary", "what went wrong inside stays in the log")
		require.Equal(t, before+1, f.metric("astern_deliveries_total", "result", c.result))
	}
}

func TestANotificationThatTakesTooLongIsGivenUp(t *testing.T) {
	f := newFixture(t)
	f.receive = func(ctx context.Context, _ engine.Notification) (engine.Receipt, error) {
		deadline, ok := ctx.Deadline()
		if !ok || time.Until(deadline) > answerWithin {
			return engine.Receipt{}, errors.New("no deadline")
		}
		return engine.Receipt{}, context.DeadlineExceeded
	}
	require.Equal(t, 503, f.deliver(good).StatusCode)
}

func TestOverloadIs503(t *testing.T) {
	f := newFixture(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	f.receive = func(context.Context, engine.Notification) (engine.Receipt, error) {
		inside <- struct{}{}
		<-leave
		return engine.Receipt{}, nil
	}
	first := make(chan answered)
	// A body of unknown length takes the room of the longest one.
	go func() { first <- f.deliver(good, func(r *http.Request) { r.ContentLength = -1 }) }()
	<-inside
	require.True(t, f.door.room.TryAcquire(doorRoom-defaultBodyLimit), "the first takes exactly its own room")
	a := f.deliver(good)
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "overload", a.problem(t).Code)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	close(leave)
	require.Equal(t, 200, (<-first).StatusCode)
	require.True(t, f.door.room.TryAcquire(defaultBodyLimit), "the room is given back")
}

func TestDraining(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, 200, f.send(f.request("GET", "/-/ready", "")).StatusCode)
	f.Drain()
	f.Drain()
	a := f.deliver(good)
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "unavailable", a.problem(t).Code)
	require.Equal(t, 503, f.send(f.request("GET", "/-/ready", "")).StatusCode)
	require.Equal(t, 200, f.send(f.request("GET", "/-/healthy", "")).StatusCode)
	require.Empty(t, f.handed())
}

func TestAPanicEndsOneRequestOnly(t *testing.T) {
	f := newFixture(t)
	f.receive = func(context.Context, engine.Notification) (engine.Receipt, error) { panic("canary: poison") }
	a := f.deliver(good)
	require.Equal(t, 500, a.StatusCode)
	require.Equal(t, "internal", a.problem(t).Code)
	require.NotContains(t, string(a.body), "canary")
	require.EqualValues(t, 1, f.metric("astern_http_panics_total"))
	require.Contains(t, f.logs.String(), "canary: poison")
	f.receive = nil
	require.Equal(t, 200, f.deliver(good).StatusCode)
}

// zeros is a body that goes on for ever and counts what was taken of it.
type zeros struct{ read atomic.Int64 }

func (z *zeros) Read(p []byte) (int, error) {
	z.read.Add(int64(len(p)))
	return len(p), nil
}

func TestAGigabyteFromAStrangerIsNotRead(t *testing.T) {
	f := newFixture(t)
	for _, token := range []string{"", "junk"} {
		body := &zeros{}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.url+"/api/v1/alertmanager", io.LimitReader(body, 1<<30))
		require.NoError(t, err)
		r.ContentLength = 1 << 30
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			bearer(token)(r)
		}
		response, err := f.client.Transport.RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, 401, response.StatusCode)
		require.NoError(t, response.Body.Close())
		require.Less(t, body.read.Load(), int64(32<<20), "no more than the kernels hold between us")
	}
	require.EqualValues(t, 2, f.metric("astern_deliveries_total", "result", "unauthenticated"))
}

func TestSlowHeadersHarmNobodyElse(t *testing.T) {
	f := newFixture(t)
	f.headerIn = 300 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- f.Serve(l) }()

	var slow []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = c.Write([]byte("POST /api/v1/alertmanager HTTP/1.1\r\nHost: x\r\nX-Slow: "))
		require.NoError(t, err)
		slow = append(slow, c)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String()+"/api/v1/alertmanager", bytes.NewBufferString(good))
	require.NoError(t, err)
	bearer(senderToken)(r)
	r.Header.Set("Content-Type", "application/json")
	require.Equal(t, 200, f.send(r).StatusCode)
	for _, c := range slow {
		answer, err := io.ReadAll(c) // ends when the server hangs up
		require.NoError(t, err)
		require.NotContains(t, string(answer), "200")
	}
	require.NoError(t, f.Shutdown(context.Background()))
	require.NoError(t, <-served)
}

func TestShutdownLetsRequestsUnderWayEnd(t *testing.T) {
	f := newFixture(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- f.Serve(l) }()
	inside, leave := make(chan struct{}), make(chan struct{})
	f.receive = func(context.Context, engine.Notification) (engine.Receipt, error) {
		close(inside)
		<-leave
		return engine.Receipt{}, nil
	}
	f.url = "http://" + l.Addr().String()
	first := make(chan answered)
	go func() { first <- f.deliver(good) }()
	<-inside
	stopped := make(chan error)
	go func() { stopped <- f.Shutdown(context.Background()) }()
	<-f.drained
	close(leave)
	require.Equal(t, 200, (<-first).StatusCode)
	require.NoError(t, <-stopped)
	require.NoError(t, <-served)
	_, err = net.Dial("tcp", l.Addr().String())
	require.Error(t, err, "nobody listens any more")

	late, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, f.Serve(late), "a server that was shut down does not begin again")
	_, err = net.Dial("tcp", late.Addr().String())
	require.Error(t, err)
}

func TestAHeaderIsBounded(t *testing.T) {
	f := newFixture(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = f.Serve(l) }()
	defer func() { require.NoError(t, f.Shutdown(context.Background())) }()
	f.url = "http://" + l.Addr().String()
	require.Equal(t, 200, f.deliver(good, header_("X-Long", strings.Repeat("x", 60<<10))).StatusCode)
	require.Equal(t, 431, f.deliver(good, header_("X-Long", strings.Repeat("x", 80<<10))).StatusCode)
}
