// Package haproxy moves traffic with HAProxy's runtime API: haproxy/weights switches it, haproxy/drain lets what is left
// run out. It acts on every process of a fleet and reads back; it imports actions alone.
//
// The runtime API changes memory only: a reload of HAProxy restores the weights of its file unless a server state file
// keeps them.
package haproxy

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"astern.dev/astern/actions"
)

const kind = "haproxy"

// Family brings haproxy/weights, haproxy/drain and the connection kind "haproxy".
func Family() actions.Family {
	return actions.Family{
		Kind:          kind,
		NewConnection: func() actions.Connection { return &Connection{} },
		Actions: []actions.Entry{
			{New: func() actions.Action { return &Weights{} }, Example: weightsExample},
			{New: func() actions.Action { return &Drain{} }, Example: drainExample},
		},
	}
}

// Connection is one entry of `connections.haproxy`: a fleet of HAProxy processes that serve the same backends.
type Connection struct {
	// Sockets are the admin sockets (`level admin`) of every process of the fleet: paths of Unix sockets, or
	// tcp://host:port. An action acts on each of them; one that cannot be reached fails the step.
	Sockets []string `yaml:"sockets"`
}

// Validate checks the form of the sockets.
func (c *Connection) Validate() error {
	if len(c.Sockets) == 0 {
		return errors.New("sockets: at least one admin socket is needed")
	}
	seen := map[string]bool{}
	for _, socket := range c.Sockets {
		if _, _, err := parseSocket(socket); err != nil {
			return fmt.Errorf("sockets: %w", err)
		}
		if seen[socket] {
			return fmt.Errorf("sockets: %s is listed twice", socket)
		}
		seen[socket] = true
	}
	return nil
}

// Open gives a *Fleet.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	fleet := &Fleet{}
	for _, socket := range c.Sockets {
		network, address, err := parseSocket(socket)
		if err != nil {
			return nil, fmt.Errorf("sockets: %w", err)
		}
		fleet.processes = append(fleet.processes, &process{socket, network, address, dial})
	}
	return fleet, nil
}

func parseSocket(socket string) (network, address string, err error) {
	if strings.HasPrefix(socket, "/") {
		return "unix", socket, nil
	}
	at, err := url.Parse(socket)
	if err != nil || at.Scheme != "tcp" || at.Port() == "" || at.Hostname() == "" || at.Path != "" {
		return "", "", fmt.Errorf("%q is neither an absolute path nor tcp://host:port", socket)
	}
	return "tcp", at.Host, nil
}

// name is what HAProxy takes as the name of a proxy or a server. Anything else could end one command and begin another.
var name = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,128}$`)

func checkName(what, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s: is required", what)
	case !name.MatchString(value):
		return fmt.Errorf("%s: %q is no name of HAProxy's: letters, digits and _ . : - alone, 128 at most", what, value)
	}
	return nil
}

func fleetOf(env actions.Env) (*Fleet, error) {
	opened, err := env.Connect(kind, "")
	if err != nil {
		return nil, err
	}
	fleet, ok := opened.(*Fleet)
	if !ok || len(fleet.processes) == 0 {
		return nil, actions.Permanent(errors.New("the haproxy connection is no fleet of HAProxy processes"))
	}
	return fleet, nil
}
