package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Role is what a caller may do. Viewer, operator, approver and admin contain one another in this order.
type Role string

// The roles. Public needs no credential; a sender may deliver alerts and nothing else.
const (
	Public   Role = "public"
	Sender   Role = "sender"
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Approver Role = "approver"
	Admin    Role = "admin"
)

var ladder = []Role{Viewer, Operator, Approver, Admin}

// Allows says whether a caller with the given role may use what needs this role.
func (need Role) Allows(has Role) bool {
	switch need {
	case Public:
		return true
	case Sender:
		return has == Sender
	}
	needs, holds := slices.Index(ladder, need), slices.Index(ladder, has)
	return needs >= 0 && holds >= needs
}

// identity is who asks. The zero value is nobody.
type identity struct {
	name string
	role Role
}

// anonymousSource is the source of alerts that came through a door open to all.
const anonymousSource = "anonymous"

var errUnauthenticated = errors.New("no credential that is known here")

// caller is one sender or person and what proves it. Exactly one proof is set, or both of username and password.
type caller struct {
	identity
	username    string
	password    *secretFile
	bearer      *secretFile
	certificate string // a name that the verified client certificate must bear
}

// access knows everybody who may knock. It is immutable; the secrets behind it follow their files.
type access struct {
	callers   []caller
	anonymous bool
}

// newAccess reads every secret once: a caller whose secret cannot be read, or two that could be taken for one another,
// is an error before anyone knocks.
func newAccess(callers []caller, anonymous bool) (*access, error) {
	taken := map[string]string{} // what must be one caller's alone -> whose it is
	claim := func(what, key string, c caller) error {
		if other, there := taken[what+"\x00"+key]; there && key != "" {
			return fmt.Errorf("%s and %s have the same %s: give each its own", other, c, what)
		}
		taken[what+"\x00"+key] = c.String()
		return nil
	}
	for _, c := range callers {
		var token digest
		var err error
		if c.bearer != nil {
			token, err = c.bearer.digest()
		}
		if err == nil && c.password != nil {
			_, err = c.password.digest()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c, err)
		}
		errs := []error{claim("name", c.String(), c), claim("username", c.username, c), claim("client certificate", c.certificate, c)}
		if c.bearer != nil {
			errs = append(errs, claim("token", string(token[:]), c))
		}
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
	}
	return &access{callers, anonymous}, nil
}

func (c caller) String() string {
	if c.role == Sender {
		return "sender " + c.name
	}
	return "person " + c.name
}

// identify says who asks, without touching the body. It asks every caller, whoever matched before, so that the time it
// takes says nothing. Nobody is errUnauthenticated; any other error is a secret that could not be read: nobody can be
// told apart then, and the caller should come again.
func (a *access) identify(r *http.Request) (identity, error) {
	proof, err := proofOf(r)
	if err != nil {
		return identity{}, err
	}
	var found []identity
	var unreadable error
	for i := range a.callers {
		ok, err := a.callers[i].proven(proof)
		if err != nil {
			unreadable = fmt.Errorf("%s: %w", a.callers[i].name, err)
		}
		if ok {
			found = append(found, a.callers[i].identity)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case unreadable != nil && proof.kind != "":
		return identity{}, unreadable
	}
	return identity{}, errUnauthenticated
}

// proof is what a request brings to show who it is from.
type proof struct {
	kind     string // "basic", "bearer", "certificate" or "" for none
	username string
	secret   digest
	names    []string // that a verified client certificate bears
}

func proofOf(r *http.Request) (proof, error) {
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) > 1:
		return proof{}, errUnauthenticated
	case len(headers) == 1:
		return headerProof(headers[0])
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && len(r.TLS.VerifiedChains[0]) > 0:
		leaf := r.TLS.VerifiedChains[0][0]
		names := append([]string{leaf.Subject.CommonName}, leaf.DNSNames...)
		for _, uri := range leaf.URIs {
			names = append(names, uri.String())
		}
		return proof{kind: "certificate", names: append(names, leaf.EmailAddresses...)}, nil
	}
	return proof{}, nil
}

func headerProof(header string) (proof, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer":
		if rest == "" {
			return proof{}, errUnauthenticated
		}
		return proof{kind: "bearer", secret: digestOf([]byte(rest))}, nil
	case "basic":
		raw, err := base64.StdEncoding.DecodeString(rest)
		username, password, ok := strings.Cut(string(raw), ":")
		if err != nil || !ok || username == "" {
			return proof{}, errUnauthenticated
		}
		return proof{kind: "basic", username: username, secret: digestOf([]byte(password))}, nil
	}
	return proof{}, errUnauthenticated
}

func (c *caller) proven(p proof) (bool, error) {
	switch {
	case p.kind == "bearer" && c.bearer != nil:
		return c.bearer.matches(p.secret)
	case p.kind == "basic" && c.password != nil:
		same, err := c.password.matches(p.secret)
		return same && c.username == p.username, err
	case p.kind == "certificate" && c.certificate != "":
		return slices.Contains(p.names, c.certificate), nil
	}
	return false, nil
}
