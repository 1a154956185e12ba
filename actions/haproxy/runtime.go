package haproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"astern.dev/astern/actions"
)

const (
	commandTimeout = 5 * time.Second
	maxAnswer      = 4 << 20
)

// Fleet is the HAProxy processes that serve the same backends. It is safe for concurrent use.
type Fleet struct{ processes []*process }

// process is one HAProxy process, reached by its admin socket.
type process struct {
	socket, network, address string
	dial                     actions.Dial
}

// ask sends one command on a connection of its own, as HAProxy wants it, and reads until HAProxy closes.
func (p *process) ask(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	conn, err := p.dial(ctx, p.network, p.address)
	if err != nil {
		return "", fmt.Errorf("haproxy %s: connect: %w", p.socket, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", p.failed(ctx, command, err)
	}
	raw, err := io.ReadAll(io.LimitReader(conn, maxAnswer+1))
	if err != nil {
		return "", p.failed(ctx, command, err)
	}
	return p.whole(command, string(raw))
}

// whole refuses answers that broke off: HAProxy ends each with a newline, also the empty one that means success.
func (p *process) whole(command, answer string) (string, error) {
	switch {
	case len(answer) > maxAnswer:
		return "", fmt.Errorf("haproxy %s: %s: the answer is longer than %d bytes", p.socket, command, maxAnswer)
	case !strings.HasSuffix(answer, "\n"):
		return "", fmt.Errorf("haproxy %s: %s: the answer broke off", p.socket, command)
	}
	return strings.TrimSpace(answer), nil
}

func (p *process) failed(ctx context.Context, command string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("haproxy %s: %s: %w", p.socket, command, err)
}

// set sends a command that answers with nothing when it worked.
func (p *process) set(ctx context.Context, command string) error {
	said, err := p.ask(ctx, command)
	if err != nil {
		return err
	}
	if said != "" {
		return p.refused(command, said)
	}
	return nil
}

func (p *process) refused(command, said string) error {
	first, _, _ := strings.Cut(said, "\n")
	err := fmt.Errorf("haproxy %s refused %q: %s", p.socket, command, first)
	if strings.HasPrefix(first, "Permission denied") {
		err = fmt.Errorf("%w; the socket needs `level admin`", err)
	}
	return actions.Permanent(err)
}

// view is what one process says of one backend.
type view struct {
	*process
	backend string
	servers []server
}

func (v view) server(name string) (server, bool) {
	for _, s := range v.servers {
		if s.name == name {
			return s, true
		}
	}
	return server{}, false
}

func (v view) unknown(name string) error {
	var known []string
	for _, s := range v.servers {
		known = append(known, s.name)
	}
	return actions.Permanent(fmt.Errorf("haproxy %s: backend %s has no server %q; it has %s", v.socket, v.backend, name, strings.Join(known, ", ")))
}

// read asks every process about a backend. One that does not answer is an error: what it does is not known.
func (f *Fleet) read(ctx context.Context, backend string) ([]view, error) {
	var views []view
	var failed []error
	for _, p := range f.processes {
		v, err := p.read(ctx, backend)
		views, failed = append(views, v), append(failed, err)
	}
	return views, errors.Join(failed...)
}

func (p *process) read(ctx context.Context, backend string) (view, error) {
	answer, err := p.ask(ctx, "show servers state "+backend)
	if err != nil {
		return view{}, err
	}
	rows, err := parseState(backend, answer)
	if err != nil {
		return view{}, fmt.Errorf("haproxy %s: %w", p.socket, err)
	}
	// By number: a frontend may have the same name.
	answer, err = p.ask(ctx, "show stat "+rows[0]["be_id"]+" 4 -1")
	if err != nil {
		return view{}, err
	}
	servers, err := parseServers(backend, rows, answer)
	if err != nil {
		return view{}, fmt.Errorf("haproxy %s: %w", p.socket, err)
	}
	return view{p, backend, servers}, nil
}
