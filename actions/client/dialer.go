package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"astern.dev/astern/actions"
)

// ErrEgress is wrapped when the egress rules refuse an address. Nothing was sent.
var ErrEgress = errors.New("refused by the egress rules")

const dialTimeout = 5 * time.Second

// refusedNets are reached only when `egress.allow` lists them: the machine itself, its link, and the places where clouds
// keep credentials outside the link-local range.
var refusedNets = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("::/96"), "unspecified"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "cloud metadata"},
	{netip.MustParsePrefix("100.100.100.200/32"), "cloud metadata"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"},
	{netip.MustParsePrefix("192.0.0.192/32"), "cloud metadata"},
}

// NewDialer gives a dialer that connects to no loopback, link-local, unspecified, multicast or metadata address unless
// allow lists it. The address is judged after name resolution, for each address tried, so no name can lead around it.
// Unix sockets pass: they stand in the configuration as paths. It is safe for concurrent use.
func NewDialer(allow []netip.Prefix) actions.Dial {
	dialer := &net.Dialer{Timeout: dialTimeout, ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
		return checkEgress(allow, network, address)
	}}
	return dialer.DialContext
}

func checkEgress(allow []netip.Prefix, network, address string) error {
	if strings.HasPrefix(network, "unix") {
		return nil
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no address", ErrEgress, address)
	}
	addr := embedded(to.Addr().WithZone("").Unmap())
	for _, prefix := range allow {
		if prefix.Masked().Contains(addr) {
			return nil
		}
	}
	for _, refused := range refusedNets {
		if refused.prefix.Contains(addr) {
			return fmt.Errorf("%w: %s is %s; list it under egress.allow if it is meant", ErrEgress, addr, refused.why)
		}
	}
	return nil
}

// embedded is the IPv4 address that a translated IPv6 address (NAT64, 6to4) leads to, else the address itself.
func embedded(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	raw := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(raw[12:16]))
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(raw[2:6]))
	}
	return a
}
