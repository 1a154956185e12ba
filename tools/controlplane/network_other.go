//go:build !linux

package controlplane

import (
	"errors"
	"net"
)

var errNoNamespaces = errors.New("traffic through Services needs Linux: it is made in a network namespace")

type network struct{}

func newNetwork(_, _, _, _ string) (*network, error) { return nil, errNoNamespaces }

func (n *network) do(func())                           {}
func (n *network) join(func()) error                   { return errNoNamespaces }
func (n *network) listen(string) (net.Listener, error) { return nil, errNoNamespaces }
func (n *network) close()                              {}
