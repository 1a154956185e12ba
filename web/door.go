package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"astern.dev/astern/engine"
)

const (
	// defaultBodyLimit bounds one notification: 1,000 alerts are 0.7 MB.
	defaultBodyLimit = 32 << 20
	// doorRoom bounds the bytes of all notifications under way; what does not fit is answered 503 (S29).
	doorRoom = 128 << 20
	// least is what the smallest notification takes of the room: it bounds their number, too.
	least = 64 << 10
	// answerWithin bounds how long a notification may take to become durable: above 15 s every peer of the sender would
	// send its own copy.
	answerWithin = 10 * time.Second
)

// door takes notifications in. It answers 2xx only for what is durable, 4xx only for what no retry mends, 503 for the
// rest, and never 429 or a redirect: Alertmanager would not come again, or would take the answer for success.
type door struct {
	receive  func(context.Context, engine.Notification) (engine.Receipt, error)
	now      func() time.Time
	limit    int64
	room     *semaphore.Weighted
	draining func() bool
	metrics  *metrics
	log      *zap.Logger
}

// serve answers one notification of an authenticated sender.
func (d *door) serve(w http.ResponseWriter, r *http.Request, who identity) {
	answer, err := d.take(w, r, who)
	if err == nil {
		d.metrics.deliveries.WithLabelValues(who.name, "stored").Inc()
		writeJSON(w, http.StatusOK, answer)
		return
	}
	p := problemOf(err)
	d.metrics.deliveries.WithLabelValues(who.name, resultOf(p)).Inc()
	d.log.Warn("notification not taken", zap.String("source", who.name), zap.Int("status", p.status),
		zap.String("field", p.Field), zap.Error(err))
	writeProblem(w, p)
}

func resultOf(p *httpError) string {
	switch {
	case p.status < http.StatusInternalServerError:
		return "malformed"
	case p.Code == "overload":
		return "overload"
	case p.status == http.StatusServiceUnavailable:
		return "unavailable"
	}
	return "error"
}

func (d *door) take(w http.ResponseWriter, r *http.Request, who identity) (Receipt, error) {
	w.Header().Set("Connection", "close") // until the body was read whole: nobody waits for the rest of one that is refused
	if d.draining() {
		return Receipt{}, engine.ErrDraining
	}
	if err := wantJSON(r); err != nil {
		return Receipt{}, err
	}
	if r.ContentLength > d.limit {
		return Receipt{}, tooLarge(d.limit)
	}
	takes := max(least, r.ContentLength)
	if r.ContentLength < 0 {
		takes = d.limit
	}
	if !d.room.TryAcquire(takes) {
		p := unavailable("too many notifications at once")
		p.Code = "overload"
		return Receipt{}, p
	}
	defer d.room.Release(takes)
	body, err := readBody(w, r, d.limit)
	if err != nil {
		return Receipt{}, err
	}
	w.Header().Del("Connection")
	return d.deliver(r.Context(), body, who)
}

func (d *door) deliver(ctx context.Context, body []byte, who identity) (Receipt, error) {
	n, err := Decode(body, d.now())
	if err != nil {
		return Receipt{}, err
	}
	n.Source = who.name
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stored, err := d.receive(ctx, n)
	if err != nil {
		return Receipt{}, err
	}
	answer := Receipt{header("Receipt"), len(n.Alerts), map[string]int{}}
	for _, decision := range stored.Decisions {
		answer.Decisions[decision.Kind]++
	}
	return answer, nil
}

// wantJSON asks the headers for a plain JSON body.
func wantJSON(r *http.Request) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &Malformed{Status: http.StatusUnsupportedMediaType, Reason: "Content-Encoding " + quote(encoding) + " is not taken: send the body as it is"}
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, named := params["charset"]
	if err != nil || kind != "application/json" || named && !strings.EqualFold(charset, "utf-8") {
		return &Malformed{Status: http.StatusUnsupportedMediaType, Reason: "Content-Type " + quote(r.Header.Get("Content-Type")) + " is not application/json"}
	}
	return nil
}

// readBody reads the whole body, at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), least)) + bytes.MinRead) // no more on a stranger's word
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, unavailable("the body did not arrive in time")
	case err != nil:
		return nil, unavailable("the body did not arrive whole")
	}
	return body.Bytes(), nil
}

func tooLarge(limit int64) error {
	return &Malformed{Status: http.StatusRequestEntityTooLarge, Reason: fmt.Sprintf("the body is larger than %d bytes", limit),
		Hint: "group alerts by more labels, or set the webhook's max_alerts"}
}
