package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Sender is who may knock at the door. Its name becomes `alert.source`.
type Sender struct {
	Name, Type string
	// Either Username with PasswordFile, or BearerTokenFile. The files are absolute or relative to the working directory.
	// Or neither, and ClientCertificate: the name that its verified client certificate must bear.
	Username, PasswordFile, BearerTokenFile string
	ClientCertificate                       string
	// Connection names the alertmanager connection that answers for this sender's alerts; empty when none does.
	Connection string
}

// Person may use the API and the console. The token in TokenFile is who they are.
type Person struct {
	Name, Address string
	Role          Role
	TokenFile     string
}

// Role says what a person may do. Each may do what the ones before it may.
type Role string

// The roles, least first.
const (
	Viewer   Role = "viewer"   // read
	Operator Role = "operator" // hold, abort, stop, reject, record releases
	Approver Role = "approver" // approve, roll back
	Admin    Role = "admin"    // arm, resume, release a mass event
)

// Roles lists the roles, least first.
var Roles = []Role{Viewer, Operator, Approver, Admin}

// Team is people who share targets, channels and limits.
type Team struct {
	Name   string
	People []string
	// Channels are where the team is told, by channel.
	Channels map[string]string
	// Environments narrow what the team answers for; empty is all.
	Environments []string
	Guards       incident.Guards
}

func (c *Config) readSenders(n *expr.Node) []Sender {
	var all []Sender
	seen := unique{}
	for _, item := range n.List() {
		item.Map("name", "type", "username", "password_file", "bearer_token_file", "client_certificate", "connection")
		s := Sender{Name: item.Need("name").Str(), Type: item.Get("type").OneOf("alertmanager"), Username: item.Get("username").Str(),
			PasswordFile: c.file(item.Get("password_file")), BearerTokenFile: c.file(item.Get("bearer_token_file")), ClientCertificate: item.Get("client_certificate").Str(), Connection: item.Get("connection").Str()}
		if s.Type == "" {
			s.Type = "alertmanager"
		}
		seen.name(item.Get("name"), "sender", s.Name)
		c.checkSender(item, s)
		all = append(all, s)
	}
	return all
}

// checkSender: a sender without a credential could be anyone.
func (c *Config) checkSender(n *expr.Node, s Sender) {
	basic, bearer, certificate := s.Username != "" || s.PasswordFile != "", s.BearerTokenFile != "", s.ClientCertificate != ""
	switch {
	case basic && bearer, certificate && (basic || bearer):
		n.Report("config/sender", "a sender has one credential, this one has two", "keep bearer_token_file, username with password_file, or client_certificate")
	case !basic && !bearer && !certificate:
		n.Report("config/sender", "the sender has no credential", "write bearer_token_file, username with password_file, or client_certificate")
	case basic && (s.Username == "" || s.PasswordFile == ""):
		n.Report("config/sender", "username and password_file belong together", "")
	}
	names := c.ConnectionNames()["alertmanager"]
	if s.Connection != "" && !slices.Contains(names, s.Connection) {
		n.Get("connection").Report("ref/connection", fmt.Sprintf("there is no connection alertmanager/%s", s.Connection), expr.Near(s.Connection, names))
	}
}

func (c *Config) readPeople(n *expr.Node) []Person {
	var all []Person
	seen, tokens := unique{}, unique{}
	for _, item := range n.List() {
		item.Map("name", "address", "role", "token_file")
		role := item.Need("role").OneOf(string(Viewer), string(Operator), string(Approver), string(Admin))
		p := Person{Name: item.Need("name").Str(), Address: item.Get("address").Str(), Role: Role(role), TokenFile: c.file(item.Get("token_file"))}
		seen.name(item.Get("name"), "person", p.Name)
		tokens.once(item.Get("token_file"), "token file", p.TokenFile)
		all = append(all, p)
	}
	return all
}

func (c *Config) readTeams(n *expr.Node) []Team {
	var people []string
	for _, p := range c.People {
		people = append(people, p.Name)
	}
	var all []Team
	seen := unique{}
	for _, item := range n.List() {
		item.Map("name", "people", "channels", "environments", "guards")
		t := Team{Name: item.Need("name").Str(), People: item.Get("people").Strings(), Channels: item.Get("channels").StringMap(),
			Environments: item.Get("environments").Strings(), Guards: readGuards(item.Get("guards"))}
		seen.name(item.Get("name"), "team", t.Name)
		for i, member := range t.People {
			if member != "" && !slices.Contains(people, member) {
				item.Get("people").List()[i].Report("ref/person", fmt.Sprintf("there is no person %q", member), expr.Near(member, people))
			}
		}
		all = append(all, t)
	}
	return all
}

// file is a name of a file, relative to astern.yaml unless absolute; empty when it is not written.
func (c *Config) file(n *expr.Node) string { return Beside(c.Dir, n.Str()) }

// Beside is a name as a file in a directory means it: absolute, or relative to the directory.
func Beside(dir, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// unique remembers what was named.
type unique map[string]bool

func (u unique) name(n *expr.Node, what, name string) {
	if named(n, name) {
		u.once(n, what, name)
	}
}

func (u unique) once(n *expr.Node, what, name string) {
	if name != "" && u[name] {
		n.Report("name/twice", fmt.Sprintf("the %s %q stands twice", what, name), "")
	}
	u[name] = true
}
