// Package config reads astern.yaml: storage, who may knock, connections, modes, guards, people, and where the other
// files are. Secrets are read from files that it names, never written in it. It imports actions, engine/incident's
// values and the one YAML reader of rules/expr.
package config

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// Config is astern.yaml, checked and with its defaults. It never changes and is safe for concurrent use.
type Config struct {
	// Path is the file; Dir is what names of files in it are relative to.
	Path, Dir string
	// Storage is a URL such as sqlite:astern.db; empty when the flag must say it.
	Storage string
	// The patterns as written, relative to Dir. Read finds and reads the files.
	RuleFiles, TargetFiles, ProcedureFiles, CommunicationFiles []string
	Senders                                                    []Sender
	// Connections by kind and name.
	Connections map[string]map[string]actions.Connection
	Modes       Modes
	// Guards has every bound written: the file's word, else the default.
	Guards incident.Guards
	// WrittenGuards is the file's word alone.
	WrittenGuards incident.Guards
	Egress        Egress
	People        []Person
	Teams         []Team
	Retention     Retention
	// Discover says where targets are read from clusters.
	Discover []Discover
	// Digest is the digest of this file's content alone; see Digest for a whole configuration.
	Digest string

	text []byte
}

// Text is the file as it was read.
func (c *Config) Text() []byte { return c.text }

// Modes are the ceilings of the installation (S20).
type Modes struct {
	// Default holds for environments that ByEnvironment does not name.
	Default       incident.Mode
	ByEnvironment map[string]incident.Mode
}

// Ceiling is how far rules may go in an environment.
func (m Modes) Ceiling(environment string) incident.Mode {
	if mode, ok := m.ByEnvironment[environment]; ok {
		return mode
	}
	return m.Default
}

// Egress says which addresses may be dialled although they are loopback, link-local or metadata.
type Egress struct{ Allow []netip.Prefix }

// Retention says how long what is over is kept.
type Retention struct {
	// Incidents and Deliveries are ages; MaxDeliveries bounds the ledger's lines.
	Incidents, Deliveries time.Duration
	MaxDeliveries         int
}

// Load reads astern.yaml. Every mistake is told at once. The Config is usable only when the diagnostics have no error.
func Load(path string, data []byte, reg *actions.Registry) (*Config, expr.Diagnostics) {
	f, _ := expr.ParseFile(path, data)
	c := &Config{Path: path, Dir: filepath.Dir(path), text: data}
	root := f.Root().Map("storage", "rule_files", "target_files", "procedure_files", "communication_files", "senders",
		"connections", "modes", "guards", "egress", "people", "teams", "retention", "discover")
	c.Storage = root.Get("storage").Map("url").Get("url").Str()
	c.readPatterns(root)
	c.Connections = readConnections(root.Get("connections"), reg, c.Dir)
	c.Senders = c.readSenders(root.Get("senders"))
	c.Modes = readModes(root.Get("modes"))
	c.WrittenGuards = readGuards(root.Get("guards"))
	c.Guards = incident.Merge(c.WrittenGuards, incident.DefaultGuards())
	c.Egress.Allow = readPrefixes(root.Get("egress").Map("allow").Get("allow"))
	c.People = c.readPeople(root.Get("people"))
	c.Teams = c.readTeams(root.Get("teams"))
	c.Retention = readRetention(root.Get("retention"))
	c.Discover = c.readDiscover(root.Get("discover"))
	c.Digest = Digest(map[string][]byte{filepath.Base(path): data})
	return c, withoutSecrets(f.Diagnostics())
}

var secretValue = regexp.MustCompile(`(?i)((?:password|credentials|secret|token|key)["']?\s*:\s*)([^\s,}]+)`)

// withoutSecrets hides what may be a secret in the lines that mistakes show; the caret keeps its place.
func withoutSecrets(ds expr.Diagnostics) expr.Diagnostics {
	for i, d := range ds {
		ds[i].Source = secretValue.ReplaceAllStringFunc(d.Source, func(s string) string {
			m := secretValue.FindStringSubmatch(s)
			return m[1] + strings.Repeat("*", utf8.RuneCountInString(m[2]))
		})
	}
	return ds
}

// modeNames are the modes as words.
func modeNames() []string {
	names := make([]string, len(incident.Modes))
	for i, m := range incident.Modes {
		names[i] = string(m)
	}
	return names
}

func readModes(n *expr.Node) Modes {
	m := Modes{Default: incident.Observe, ByEnvironment: map[string]incident.Mode{}}
	for _, e := range n.Entries() {
		mode := incident.Mode(e.Value.OneOf(modeNames()...))
		switch {
		case mode == "":
		case e.Key.Name() == "default":
			m.Default = mode
		default:
			m.ByEnvironment[e.Key.Name()] = mode
		}
	}
	return m
}

func readGuards(n *expr.Node) incident.Guards {
	if !n.Exists() {
		return incident.Guards{}
	}
	written := map[string]any{}
	entries := map[string]expr.Entry{}
	for _, e := range n.Entries() {
		written[e.Key.Name()], entries[e.Key.Name()] = e.Value.Any(), e
	}
	guards, problems := incident.GuardsFrom(written)
	for _, p := range problems {
		if !slices.Contains(incident.GuardNames(), p.Name) {
			entries[p.Name].Key.Report("guard/unknown", p.Error(), expr.Near(p.Name, incident.GuardNames()))
			continue
		}
		entries[p.Name].Value.Report("guard/value", p.Error(), "")
	}
	return guards
}

func readPrefixes(n *expr.Node) []netip.Prefix {
	var all []netip.Prefix
	for _, item := range n.List() {
		text := item.Str()
		if address, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			item.Report("config/egress", "want an address or a network such as 127.0.0.0/8", "")
			continue
		}
		all = append(all, prefix.Masked())
	}
	return all
}

func readRetention(n *expr.Node) Retention {
	r := Retention{Incidents: 365 * 24 * time.Hour, Deliveries: 14 * 24 * time.Hour, MaxDeliveries: 100_000}
	n.Map("incidents", "deliveries", "max_deliveries")
	positive(n.Get("incidents"), &r.Incidents, (*expr.Node).Duration)
	positive(n.Get("deliveries"), &r.Deliveries, (*expr.Node).Duration)
	positive(n.Get("max_deliveries"), &r.MaxDeliveries, (*expr.Node).Int)
	return r
}

// positive reads a number that must be more than nothing, when it is written.
func positive[T ~int | ~int64](n *expr.Node, into *T, read func(*expr.Node) T) {
	if !n.Exists() {
		return
	}
	if *into = read(n); *into <= 0 {
		n.Report("config/value", "want more than nothing", "")
	}
}
