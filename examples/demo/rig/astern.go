package rig

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"astern.dev/astern/examples/demo/config"
)

// Astern is the built binary as a server, and the same binary as a client of it.
type Astern struct {
	*Server
	binary, dir string
}

// startAstern writes astern's files into the rig's directory and starts `astern serve` there.
func (r *Rig) startAstern(ctx context.Context, binary string) (*Astern, error) {
	paths, err := config.Write(r.Dir, r.Addresses, config.Astern(r.Addresses)...)
	if err != nil {
		return nil, err
	}
	if err := r.edit(paths); err != nil {
		return nil, err
	}
	args := []string{"serve", "--config.file=" + paths[0], "--storage.url=sqlite:" + filepath.Join(r.Dir, "astern.db")}
	s, err := startServer(ctx, Command{Name: "astern", Path: binary, Dir: r.Dir, Args: append(args, r.AsternArgs...)}, "/-/ready")
	return &Astern{s, binary, r.Dir}, err
}

// edit lets the rig's user change the files that were written.
func (r *Rig) edit(paths []string) error {
	for _, path := range paths {
		if r.Edit == nil {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := writeFile(path, r.Edit(filepath.Base(path), string(text))); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a client command, such as "arm", against the server as on-call. A non-zero exit code is an error that holds
// what the command said.
func (a *Astern) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, a.binary, append(args, "--server="+a.URL, "--token-file="+filepath.Join(a.dir, "on-call.token"))...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("astern %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// Get reads one answer of the API as on-call.
func (a *Astern) Get(ctx context.Context, path string, out any) error {
	token, err := os.ReadFile(filepath.Join(a.dir, "on-call.token"))
	if err != nil {
		return err
	}
	return call(ctx, request{method: http.MethodGet, url: a.URL + path, token: string(token)}, out)
}
