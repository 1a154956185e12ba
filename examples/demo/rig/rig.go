package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"astern.dev/astern/actions/slack/slacktest"
	"astern.dev/astern/examples/demo/config"
	"astern.dev/astern/tools/neighbours"
)

// Rig is the whole world, up and running. Its fields may be used at once; Close takes everything down.
type Rig struct {
	Dir         string
	Blue, Green *Service
	// HAProxy is nil when it cannot be had; then Proxy does its work.
	HAProxy      *HAProxy
	Proxy        *Proxy
	Prometheus   *Prometheus
	Alertmanager *Alertmanager
	Load         *Load
	Astern       *Astern
	Slack        *slacktest.Server
	// Addresses is what the configuration files are filled with.
	Addresses config.Addresses
	// Edit, when set, gives what astern's file of this name holds instead of its text. AsternArgs are added to `astern serve`.
	Edit       func(name, text string) string
	AsternArgs []string

	cleanups []func()
}

// Programs are the neighbours a rig runs. HAProxy may be left zero.
type Programs struct{ Prometheus, Alertmanager, HAProxy neighbours.Neighbour }

// FindPrograms finds or makes the neighbours, telling each as it is found. Without HAProxy it goes on: the example's own
// proxy does its work then, and the returned programs say so.
func FindPrograms(ctx context.Context, log io.Writer, told func(neighbours.Neighbour)) (Programs, error) {
	var p Programs
	into := []*neighbours.Neighbour{&p.Prometheus, &p.Alertmanager, &p.HAProxy}
	for i, name := range []string{"prometheus", "alertmanager", "haproxy"} {
		found, err := neighbours.Find(ctx, name, log)
		switch {
		case errors.Is(err, neighbours.ErrNotDebian):
			fmt.Fprintf(log, "haproxy cannot be had here (%v): the example's own proxy takes its place\n", err)
			continue
		case err != nil:
			return p, err
		}
		*into[i] = found
		told(found)
	}
	return p, nil
}

// Up puts up the services, the proxy, Prometheus, Alertmanager and the load, in a directory of its own under the temporary
// directory. All traffic goes to green. Alerts go nowhere until StartAstern or Alertmanager.Route.
func Up(ctx context.Context, p Programs, perSecond int) (r *Rig, err error) {
	r, err = newRig()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if err = r.startServices(); err != nil {
		return nil, err
	}
	if err = r.startEntry(ctx, p); err != nil {
		return nil, err
	}
	if err = r.startMonitoring(ctx, p); err != nil {
		return nil, err
	}
	r.Load = StartLoad(r.EntryURL(), perSecond)
	r.onClose(r.Load.Stop)
	return r, nil
}

func newRig() (*Rig, error) {
	dir, err := os.MkdirTemp("", "astern-")
	if err != nil {
		return nil, err
	}
	r := &Rig{Dir: dir}
	r.onClose(func() { _ = os.RemoveAll(dir) })
	return r, nil
}

// Watch puts up Prometheus and Alertmanager alone, for a service that runs elsewhere: Prometheus asks nobody until its
// file in Dir is written anew and it is told to read it.
func Watch(ctx context.Context, p Programs) (*Rig, error) {
	r, err := newRig()
	if err != nil {
		return nil, err
	}
	r.Addresses.BlueHost, r.Addresses.GreenHost, r.Addresses.HAProxySocket = "127.0.0.1:9", "127.0.0.1:9", socketPath(r.Dir)
	if err := errors.Join(r.startPeople(), r.startMonitoring(ctx, p)); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Rig) startServices() (err error) {
	if r.Blue, err = StartService("blue", "v41"); err != nil {
		return err
	}
	r.onClose(func() { _ = r.Blue.Stop() })
	if r.Green, err = StartService("green", "v42"); err != nil {
		return err
	}
	r.onClose(func() { _ = r.Green.Stop() })
	a := &r.Addresses
	a.BlueURL, a.GreenURL = r.Blue.URL, r.Green.URL
	a.BlueHost, a.GreenHost = host(r.Blue.URL), host(r.Green.URL)
	a.HAProxySocket = socketPath(r.Dir)
	return r.startPeople()
}

// startPeople writes the tokens and starts the chat where people are told.
func (r *Rig) startPeople() error {
	r.Addresses.SenderTokenFile = filepath.Join(r.Dir, "sender.token")
	for name, secret := range map[string]string{"sender": rand.Text(), "on-call": rand.Text(), "slack": slacktest.Token} {
		if err := writeFile(filepath.Join(r.Dir, name+".token"), secret); err != nil {
			return err
		}
	}
	return r.startSlack()
}

func (r *Rig) startSlack() error {
	r.Slack = slacktest.New()
	server, url, err := serve(r.Slack)
	if err != nil {
		return err
	}
	r.onClose(func() { _ = server.Close() })
	r.Addresses.SlackURL = url + "/api"
	return nil
}

// serve answers on a free port of 127.0.0.1.
func serve(h http.Handler) (*http.Server, string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a local listener does not wait
	if err != nil {
		return nil, "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return server, "http://" + listener.Addr().String(), nil
}

func (r *Rig) startEntry(ctx context.Context, p Programs) (err error) {
	if p.HAProxy.Path == "" {
		r.Proxy, err = StartProxy(r.Blue, r.Green)
		if err == nil {
			r.onClose(func() { _ = r.Proxy.Stop() })
			r.Addresses.ProxyURL = r.Proxy.AdminURL
		}
		return err
	}
	r.HAProxy, err = startHAProxy(ctx, p.HAProxy.Path, r.Dir, r.Addresses)
	if r.HAProxy != nil {
		r.onClose(r.HAProxy.Stop)
	}
	return err
}

// EntryURL is where users' traffic enters.
func (r *Rig) EntryURL() string {
	if r.Proxy != nil {
		return r.Proxy.URL
	}
	return r.HAProxy.URL
}

func (r *Rig) startMonitoring(ctx context.Context, p Programs) (err error) {
	r.Alertmanager, err = startAlertmanager(ctx, p.Alertmanager.Path, r.Dir)
	if r.Alertmanager != nil {
		r.onClose(r.Alertmanager.stop)
	}
	if err != nil {
		return err
	}
	r.Addresses.AlertmanagerHost, r.Addresses.AlertmanagerURL = r.Alertmanager.Host, r.Alertmanager.URL
	r.Prometheus, err = startPrometheus(ctx, p.Prometheus.Path, r.Dir, r.Addresses)
	if r.Prometheus != nil {
		r.onClose(r.Prometheus.stop)
	}
	if err == nil {
		r.Addresses.PrometheusURL = r.Prometheus.URL
	}
	return err
}

// StartAstern writes the demo's files, starts the binary with them and routes the alerts to it.
func (r *Rig) StartAstern(ctx context.Context, binary string) (err error) {
	r.Astern, err = r.startAstern(ctx, binary)
	if r.Astern != nil {
		r.onClose(r.Astern.stop)
	}
	if err != nil {
		return err
	}
	r.Addresses.AsternURL = r.Astern.URL
	return r.Alertmanager.Route(ctx, r.Addresses)
}

// Ended gives the first program that ended though nobody asked it to.
func (r *Rig) Ended() error {
	var ended []error
	if r.HAProxy != nil {
		ended = append(ended, r.HAProxy.Ended())
	}
	if r.Astern != nil {
		ended = append(ended, r.Astern.Ended())
	}
	return errors.Join(append(ended, r.Prometheus.Ended(), r.Alertmanager.Ended())...)
}

func (r *Rig) onClose(f func()) { r.cleanups = append(r.cleanups, f) }

// Close takes everything down, last up first. It may be called twice.
func (r *Rig) Close() {
	for len(r.cleanups) > 0 {
		last := len(r.cleanups) - 1
		f := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		f()
	}
}

func host(url string) string { return strings.TrimPrefix(url, "http://") }

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
