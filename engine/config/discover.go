package config

import (
	"fmt"
	"regexp"
	"slices"

	"astern.dev/astern/rules/expr"
)

// Discover says where the annotations of a cluster's workloads may name targets. The environment is said here, not there:
// whoever may write in a namespace must not choose how much may be done to it.
type Discover struct {
	// Connection is a kubernetes connection.
	Connection, Environment string
	Namespaces              []string
}

var namespaceForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c *Config) readDiscover(n *expr.Node) []Discover {
	var all []Discover
	seen := unique{}
	for _, item := range n.List() {
		item.Map("connection", "environment", "namespaces")
		d := Discover{Connection: item.Need("connection").Str(), Environment: item.Need("environment").Str(), Namespaces: item.Need("namespaces").Strings()}
		names := c.ConnectionNames()["kubernetes"]
		if d.Connection != "" && !slices.Contains(names, d.Connection) {
			item.Get("connection").Report("ref/connection", fmt.Sprintf("there is no connection kubernetes/%s", d.Connection), expr.Near(d.Connection, names))
		}
		named(item.Get("environment"), d.Environment)
		places := item.Get("namespaces").List()
		if item.Get("namespaces").IsList() && len(places) == 0 {
			item.Get("namespaces").Report("config/namespace", "no namespace is named: nothing would be discovered", "name the namespaces whose workloads may be targets")
		}
		for _, place := range places {
			checkNamespace(place)
			seen.once(place, "namespace", d.Connection+"/"+place.Str())
		}
		all = append(all, d)
	}
	return all
}

func checkNamespace(n *expr.Node) {
	if name := n.Str(); name != "" && !namespaceForm.MatchString(name) {
		n.Report("config/namespace", fmt.Sprintf("%q is not the name of a namespace", name), "use a-z, 0-9 and '-'; patterns are not read")
	}
}
