package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/actions/cluster"
	"astern.dev/astern/engine/plan"
)

// rbac is what the flags of `rbac` say.
type rbac struct {
	connection, account, form string
}

const asValues = "values"

var rbacForms = []string{"yaml", asTable, asValues}

func rbacCommand(a *app) *cobra.Command {
	var r rbac
	c := &cobra.Command{
		Use: "rbac [FILES|DIR]", Short: "Print the Roles that the configured procedures need at a Kubernetes API",
		Long: "Print the fewest rights that astern needs at the API server of one connection, as a Role and RoleBinding for each\n" +
			"namespace: what looks on at targets, and what each step of each procedure needs that a rule or a person can lead to.\n" +
			"Steps are rendered as `astern check` does, without a server and without touching the world. A write names its object\n" +
			"where that is known before an alert. Each rule says what it is for. A ClusterRole is printed only where the namespace\n" +
			"is not known, or the kind lies in none.\n\n" +
			"The right to read the kinds the API serves, and to ask for one's own rights, Kubernetes gives to everyone.",
		Example: "  astern rbac | kubectl apply --server-side -f -\n  astern rbac --connection prod --service-account monitoring/astern config\n  astern rbac -o table\n  astern rbac -o values > rbac-values.yaml    # for the chart",
		RunE:    func(_ *cobra.Command, args []string) error { return a.rbac(args, r) },
	}
	flags := c.Flags()
	flags.StringVar(&r.connection, "connection", "", "the kubernetes connection; needed where there are several")
	flags.StringVar(&r.account, "service-account", "", "NAMESPACE/NAME of who gets the rights; without it whom the connection impersonates, or astern/astern")
	flags.StringVarP(&r.form, "output", "o", "yaml", "form of the output: "+strings.Join(rbacForms, ", "))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(rbacForms, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (a *app) rbac(args []string, r rbac) error {
	if !slices.Contains(rbacForms, r.form) {
		return usageHint("write -o "+strings.Join(rbacForms, ", -o "), "there is no form of output %q", r.form)
	}
	f, err := find(args)
	if err != nil {
		return err
	}
	l, mistakes, err := f.load()
	if err != nil {
		return err
	}
	if mistakes.Err() != nil {
		fmt.Fprintf(a.err, "%s\n\n", a.diagnostics(mistakes))
		return usage("the files have %s: no Role is made of them", count(mistakes.Errors(), "mistake"))
	}
	if r.connection, err = l.oneCluster(r.connection); err != nil {
		return err
	}
	page, err := l.rolesPage(r)
	if err != nil {
		return err
	}
	for _, unknown := range page.unknown {
		a.note("Not known before an alert: what %s needs. Grant it by hand.", visible(unknown))
	}
	switch r.form {
	case asTable:
		return a.rolesTable(page)
	case asValues:
		return a.write([]byte(page.values()))
	}
	return a.write([]byte(page.yaml()))
}

// oneCluster is the kubernetes connection that is meant: each is another API server, and a Role for all of them would
// grant on each what is needed on one.
func (l *loaded) oneCluster(named string) (string, error) {
	var known []string
	if l.Config != nil {
		known = l.Config.ConnectionNames()["kubernetes"]
	}
	slices.Sort(known)
	switch {
	case named != "" && !slices.Contains(known, named):
		return "", usageHint("known are: "+cmp.Or(strings.Join(known, ", "), "none"), "there is no connection kubernetes/%s", named)
	case named == "" && len(known) > 1:
		return "", usageHint("write --connection "+strings.Join(known, ", or --connection "), "there are %d kubernetes connections, each with rights of its own", len(known))
	case named == "" && len(known) == 1:
		return known[0], nil
	}
	return named, nil
}

// roles is what is printed.
type roles struct {
	connection, namespace, account string
	roles                          []cluster.Role
	unknown                        []string
}

func (l *loaded) rolesPage(r rbac) (roles, error) {
	page := roles{connection: r.connection}
	var err error
	if page.namespace, page.account, err = l.grantee(r); err != nil {
		return page, err
	}
	var needs []cluster.Need
	unknown := map[string]bool{}
	for _, right := range l.Book.Rights(ruleRefs(l.Rules), l.places(r.connection)) {
		switch {
		case l.clusterOf(right.Connection, right.OfTarget) != r.connection:
		case right.AnyKind:
			unknown[stepWords(right)] = true
		default:
			needs = append(needs, cluster.Need{Access: right.Access, For: stepWords(right)})
		}
	}
	page.unknown = slices.Sorted(maps.Keys(unknown))
	page.roles = cluster.Roles(append(l.watching(r.connection), needs...))
	return page, nil
}

func stepWords(r plan.Right) string {
	return fmt.Sprintf("%s: step %s of procedure %s", r.Uses, r.Step, r.Procedure)
}

// clusterOf is the connection that a step uses: its own, else its target's, else the only one.
func (l *loaded) clusterOf(own, target string) string {
	var known []string
	if l.Config != nil {
		known = l.Config.ConnectionNames()["kubernetes"]
	}
	switch {
	case slices.Contains(known, own):
		return own
	case target != "":
		return target
	case len(known) == 1:
		return known[0]
	}
	return ""
}

// watching is what looking on at targets needs, and looking for their annotations.
func (l *loaded) watching(connection string) []cluster.Need {
	var all []cluster.Need
	for _, t := range l.Book.Targets() {
		if t.Workload == nil || l.clusterOf("", t.Connections["kubernetes"]) != connection {
			continue
		}
		for _, access := range cluster.WatchAccess(t.Workload.Kind, t.Workload.Namespace) {
			all = append(all, cluster.Need{Access: access, For: "looking on at target " + t.Name})
		}
	}
	for _, place := range l.places(connection) {
		for _, access := range cluster.DiscoverAccess(place.Namespace) {
			all = append(all, cluster.Need{Access: access, For: "finding the targets that annotations name"})
		}
	}
	return all
}

func (l *loaded) places(connection string) []plan.Place {
	if l.Config == nil {
		return nil
	}
	var all []plan.Place
	for _, d := range l.Config.Discover {
		for _, namespace := range d.Namespaces {
			if d.Connection == connection {
				all = append(all, plan.Place{Connection: d.Connection, Namespace: namespace})
			}
		}
	}
	return all
}

// grantee is the ServiceAccount that gets the rights.
func (l *loaded) grantee(r rbac) (namespace, name string, err error) {
	account := cmp.Or(r.account, l.impersonated(r.connection), "astern/astern")
	namespace, name, _ = strings.Cut(account, "/")
	if cluster.CheckNamespace("namespace", namespace) != nil || cluster.CheckName("name", name) != nil {
		return "", "", usageHint("write it as NAMESPACE/NAME", "--service-account: %q is no ServiceAccount", account)
	}
	return namespace, name, nil
}

// impersonated is the ServiceAccount as which the connection acts: its rights count there.
func (l *loaded) impersonated(connection string) string {
	if l.Config == nil {
		return ""
	}
	c, ok := l.Config.Connections["kubernetes"][connection].(*cluster.Connection)
	if !ok {
		return ""
	}
	account, is := strings.CutPrefix(c.Impersonate, "system:serviceaccount:")
	if !is {
		return ""
	}
	return strings.Replace(account, ":", "/", 1)
}
