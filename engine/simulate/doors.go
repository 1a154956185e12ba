package simulate

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"astern.dev/astern/actions/client"
)

// door is a neighbour's HTTP server in memory: the real clients talk to it over a pipe.
type door struct {
	server *http.Server
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newDoor(handler http.Handler) *door {
	d := &door{server: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}, calls: make(chan net.Conn), closed: make(chan struct{})}
	go func() { _ = d.server.Serve(d) }() // it ends with the door
	return d
}

// Dial, Accept, Addr and Close make the door both ends of a network.
func (d *door) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case d.calls <- there:
		return here, nil
	case <-d.closed:
	case <-ctx.Done():
	}
	return nil, errors.Join(net.ErrClosed, here.Close(), there.Close())
}

// Accept gives the next call.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.calls:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Addr is no real one.
func (d *door) Addr() net.Addr { return &net.UnixAddr{Name: "simulated", Net: "pipe"} }

// Close ends the door.
func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

func (d *door) shut() { _ = d.server.Close() }

// http is a client that asks once: a neighbour that is down in virtual time stays down however long one waits.
func (d *door) http() (*client.HTTP, error) {
	return client.NewHTTP(client.HTTPConfig{MaxAnswer: 64 << 20, Tries: 1}, d.Dial)
}

func root(host string) *url.URL { return &url.URL{Scheme: "http", Host: host} }
