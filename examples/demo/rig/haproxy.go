package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"astern.dev/astern/examples/demo/config"
)

// HAProxy is a running HAProxy with an admin socket.
type HAProxy struct {
	*Process
	// URL is the frontend, Socket the admin socket.
	URL, Socket string
}

// startHAProxy hands HAProxy a listener that is bound already, so that no other program can take its port.
func startHAProxy(ctx context.Context, path, dir string, a config.Addresses) (*HAProxy, error) {
	files, err := config.Write(dir, a, "haproxy.cfg")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a local listener does not wait
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	entry, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer entry.Close()
	p, err := Start(Command{Name: "haproxy", Path: path, Args: []string{"-db", "-f", files[0]}, Dir: dir, Files: []*os.File{entry}})
	if err != nil {
		return nil, err
	}
	h := &HAProxy{p, "http://" + listener.Addr().String(), a.HAProxySocket}
	return h, Await(ctx, "HAProxy's admin socket", func(ctx context.Context) (bool, error) {
		if err := p.Ended(); err != nil {
			return false, err
		}
		_, err := h.Say(ctx, "show info")
		return true, err
	})
}

// Say sends one command to the admin socket and gives the answer.
func (h *HAProxy) Say(ctx context.Context, command string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", h.Socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := fmt.Fprintln(conn, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return strings.TrimSpace(string(answer)), err
}

// socketPath keeps the socket's path short: the kernel allows about 100 characters.
func socketPath(dir string) string { return filepath.Join(dir, "haproxy.sock") }
