package controlplane

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Traffic is a stream of requests through a Service. Each is a new connection to the Service's cluster IP; the real
// kube-proxy chooses the pod, and a real server on that pod's address answers in its name. It is safe for concurrent use.
type Traffic struct {
	address string
	label   string
	ctx     context.Context //nolint:containedctx // it ends the senders
	cancel  context.CancelFunc
	senders sync.WaitGroup

	mu      sync.Mutex
	answers map[string]Answers
	missed  int
	last    error
}

// Answers counts what one side has answered, and when it began to answer last.
type Answers struct {
	OK, Failed int
	Last       time.Time
}

// Traffic begins to send requests to port 80 of a Service, some 200 a second, and counts who answers by the value that the
// pod has in a label, such as "colour"; the Service's targetPort must be 8080. It goes on until Stop or Close.
func (c *ControlPlane) Traffic(ctx context.Context, namespace, service, label string) (*Traffic, error) {
	if err := c.startNetwork(ctx); err != nil {
		return nil, err
	}
	o, err := c.Get(ctx, namespace, "service/"+service)
	if err != nil {
		return nil, err
	}
	ip, _, err := unstructured.NestedString(o.Object, "spec", "clusterIP")
	if err != nil {
		return nil, err
	}
	t := &Traffic{address: net.JoinHostPort(ip, "80"), label: label, answers: map[string]Answers{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	c.onClose(t.Stop)
	for range 4 {
		t.senders.Add(1)
		if err := c.network.join(t.send); err != nil {
			t.senders.Done()
			return nil, err
		}
	}
	return t, nil
}

// Stop ends the requests. It may be called twice.
func (t *Traffic) Stop() {
	t.cancel()
	t.senders.Wait()
}

// Answers gives what each side has answered so far, and how many requests nobody answered.
func (t *Traffic) Answers() (by map[string]Answers, missed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.answers), t.missed
}

// Missed is the last error of a request that nobody answered.
func (t *Traffic) Missed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// Since waits until a side has answered n requests more.
func (t *Traffic) Since(ctx context.Context, side string, n int) error {
	by, _ := t.Answers()
	want := by[side].OK + by[side].Failed + n
	return Await(ctx, fmt.Sprintf("%d more answers of %q", n, side), func(context.Context) error {
		by, missed := t.Answers()
		if got := by[side].OK + by[side].Failed; got < want {
			return fmt.Errorf("%d of %d, %d requests missed: %w", got, want, missed, t.Missed())
		}
		return nil
	})
}

// send sends one request after the other. It runs on a thread in the network, which its sockets belong to.
func (t *Traffic) send() {
	defer t.senders.Done()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		by, code, err := t.ask()
		if t.ctx.Err() != nil {
			return
		}
		t.count(by, code, err)
		<-pause.C
	}
}

func (t *Traffic) ask() (by pod, code int, err error) {
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(t.ctx, "tcp4", t.address)
	if err != nil {
		return pod{}, 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return pod{}, 0, err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n"); err != nil {
		return pod{}, 0, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return pod{}, 0, err
	}
	defer answer.Body.Close()
	return by, answer.StatusCode, json.NewDecoder(answer.Body).Decode(&by)
}

func (t *Traffic) count(by pod, code int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && by.Name == "" {
		err = errors.New("answered at an address that no pod has")
	}
	if err != nil {
		if len(t.answers) > 0 { // before the first answer kube-proxy does not know the Service yet
			t.missed++
		}
		t.last = err
		return
	}
	side := by.Labels[t.label]
	a := t.answers[side]
	if code < http.StatusInternalServerError {
		a.OK++
	} else {
		a.Failed++
	}
	a.Last = time.Now()
	t.answers[side] = a
}

// ServeHTTP gives the counts as Prometheus reads them: http_requests_total with the label and the code.
func (t *Traffic) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	by, missed := t.Answers()
	name := strings.NewReplacer("-", "_", ".", "_", "/", "_").Replace(t.label)
	fmt.Fprintln(w, "# TYPE http_requests_total counter")
	for side, a := range by {
		fmt.Fprintf(w, "http_requests_total{%s=%q,code=\"200\"} %d\n", name, side, a.OK)
		fmt.Fprintf(w, "http_requests_total{%s=%q,code=\"500\"} %d\n", name, side, a.Failed)
	}
	fmt.Fprintf(w, "# TYPE http_requests_missed_total counter\nhttp_requests_missed_total %d\n", missed)
}
