package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
)

// access is what git needs to reach the server, beside its address.
type access struct {
	settings []setting
	env      []string
}

func (r *Repository) local() bool { return strings.HasPrefix(r.url, "/") }

func (r *Repository) protocol() string {
	scheme, _, remote := strings.Cut(r.url, "://")
	if !remote {
		return "file"
	}
	return scheme
}

// reach dials the server under the egress rules before git does, holds git to the address that passed, and reads the
// secrets.
func (r *Repository) reach(ctx context.Context) (access, []string, error) {
	if r.local() {
		return access{}, nil, nil
	}
	at, err := url.Parse(r.url)
	if err != nil {
		return access{}, nil, fmt.Errorf("the address of the repository: %w", err)
	}
	port := cmp.Or(at.Port(), map[string]string{"https": "443", "http": "80", "ssh": "22"}[at.Scheme])
	conn, err := r.dial(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return access{}, nil, unreachable(at.Host, err)
	}
	to := conn.RemoteAddr().String()
	conn.Close()
	address, _, err := net.SplitHostPort(to)
	if err != nil {
		return access{}, nil, fmt.Errorf("reach the git server %s: %w", at.Host, err)
	}
	if at.Scheme == "ssh" {
		return r.bySSH(at, port, address), nil, nil
	}
	return r.byHTTP(at, port, address)
}

func unreachable(host string, err error) error {
	refused := errors.Is(err, client.ErrEgress)
	if err = fmt.Errorf("reach the git server %s: %w", host, err); refused {
		return actions.Permanent(err)
	}
	return err
}

// byHTTP sends the credentials as a header from the first request on: no helper, no prompt, no program of the machine's.
func (r *Repository) byHTTP(at *url.URL, port, address string) (access, []string, error) {
	if strings.Contains(address, ":") {
		address = "[" + address + "]"
	}
	a := access{settings: []setting{
		{"http.followRedirects", "false"}, {"http.sslVerify", "true"}, {"http.lowSpeedLimit", "100"}, {"http.lowSpeedTime", "60"},
	}}
	if net.ParseIP(at.Hostname()) == nil {
		a.settings = append(a.settings, setting{"http.curloptResolve", at.Hostname() + ":" + port + ":" + address})
	}
	if r.https.CAFile != "" {
		a.settings = append(a.settings, setting{"http.sslCAInfo", r.https.CAFile})
	}
	if r.https.TokenFile == "" {
		return a, nil, nil
	}
	token, err := secret("https.token_file", r.https.TokenFile)
	if err != nil {
		return access{}, nil, err
	}
	form := encoded(cmp.Or(r.https.Username, "x-access-token"), token)
	header := "Basic " + form
	if r.https.Scheme == "bearer" {
		header = "Bearer " + token
	}
	scope := "http." + at.Scheme + "://" + at.Host + "/.extraHeader"
	a.settings = append(a.settings, setting{scope, "Authorization: " + header})
	return a, []string{token, form, url.QueryEscape(token)}, nil
}

// bySSH takes nothing of the machine's configuration: this key, these known hosts, this address.
func (r *Repository) bySSH(at *url.URL, port, address string) access {
	alias := at.Hostname()
	if port != "22" {
		alias = "[" + alias + "]:" + port
	}
	words := []string{"ssh", "-F", os.DevNull}
	for _, option := range []string{
		"BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=" + r.ssh.KnownHostsFile, "GlobalKnownHostsFile=" + os.DevNull,
		"UpdateHostKeys=no", "IdentitiesOnly=yes", "IdentityAgent=none", "IdentityFile=" + r.ssh.KeyFile, "PreferredAuthentications=publickey",
		"ForwardAgent=no", "ClearAllForwardings=yes", "PermitLocalCommand=no", "ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=4",
		"LogLevel=ERROR", "HostName=" + address, "HostKeyAlias=" + alias,
	} {
		words = append(words, "-o", "'"+option+"'")
	}
	return access{env: []string{"GIT_SSH_COMMAND=" + strings.Join(words, " "), "GIT_SSH_VARIANT=ssh"}}
}
