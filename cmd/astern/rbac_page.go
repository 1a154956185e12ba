package main

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"astern.dev/astern/actions/cluster"
)

// maxReasons is how many reasons stand at one rule.
const maxReasons = 8

// yaml writes the Roles as `kubectl apply` takes them. Every rule says what it is for: that is what a reviewer asks.
func (r roles) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What astern needs at the API server%s, for the ServiceAccount %s/%s.\n", r.of(), r.namespace, r.account)
	b.WriteString("# Printed by `astern rbac`: print it again when targets, procedures or rules change.\n")
	if len(r.roles) == 0 {
		b.WriteString("# Nothing: no target and no procedure uses it.\n")
	}
	for _, role := range r.roles {
		r.role(&b, role)
	}
	return b.String()
}

func (r roles) of() string {
	if r.connection == "" {
		return ""
	}
	return " of connection " + r.connection
}

func (r roles) role(b *strings.Builder, role cluster.Role) {
	prefix, namespace := "", "\n  namespace: "+scalar(role.Namespace)
	if role.Namespace == "" {
		prefix, namespace = "Cluster", ""
		b.WriteString("---\n# For the whole cluster: the namespace is known only when there is an alert, or the kind lies in none.\n")
	} else {
		b.WriteString("---\n")
	}
	fmt.Fprintf(b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: %sRole\nmetadata:\n  name: %s%s\nrules:\n", prefix, scalar(r.account), namespace)
	for _, rule := range role.Rules {
		writeRule(b, "  ", rule)
	}
	fmt.Fprintf(b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %[1]sRoleBinding\nmetadata:\n  name: %[2]s%[3]s\n"+
		"roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: %[1]sRole\n  name: %[2]s\n"+
		"subjects:\n  - kind: ServiceAccount\n    name: %[2]s\n    namespace: %[4]s\n", prefix, scalar(r.account), namespace, scalar(r.namespace))
}

// values writes the same as values of the chart, which makes the Roles of them.
func (r roles) values() string {
	var namespaced, everywhere strings.Builder
	for _, role := range r.roles {
		into, indent := &everywhere, "    "
		if role.Namespace != "" {
			into, indent = &namespaced, "        "
			fmt.Fprintf(into, "    - namespace: %s\n      rules:\n", scalar(role.Namespace))
		}
		for _, rule := range role.Rules {
			writeRule(into, indent, rule)
		}
	}
	return fmt.Sprintf("# What astern needs at the API server%s, as values of the chart. Printed by `astern rbac -o values`.\nrbac:\n  roles:%s  clusterRules:%s",
		r.of(), orNone(namespaced.String()), orNone(everywhere.String()))
}

func orNone(list string) string {
	if list == "" {
		return " []\n"
	}
	return "\n" + list
}

func writeRule(b *strings.Builder, indent string, rule cluster.Rule) {
	for _, why := range append(reasons(rule), cautions(rule)...) {
		fmt.Fprintf(b, "%s# %s\n", indent, visible(why))
	}
	fmt.Fprintf(b, "%[1]s- apiGroups: [%[2]s]\n%[1]s  resources: [%[3]s]\n", indent, scalar(rule.Group), scalars(rule.Resources))
	if len(rule.Names) > 0 {
		fmt.Fprintf(b, "%s  resourceNames: [%s]\n", indent, scalars(rule.Names))
	}
	fmt.Fprintf(b, "%s  verbs: [%s]\n", indent, scalars(rule.Verbs))
}

func reasons(rule cluster.Rule) []string {
	if more := len(rule.For) - maxReasons; more > 0 {
		return append(slices.Clone(rule.For[:maxReasons]), fmt.Sprintf("and %d more", more))
	}
	return rule.For
}

// cautions say what a rule grants beyond its words.
func cautions(rule cluster.Rule) []string {
	of := func(resources ...string) bool {
		return slices.ContainsFunc(rule.Resources, func(r string) bool { return slices.Contains(resources, r) })
	}
	may := func(verbs ...string) bool {
		return slices.ContainsFunc(rule.Verbs, func(v string) bool { return slices.Contains(verbs, v) })
	}
	var all []string
	if of("secrets") && may("get", "list", "watch") {
		all = append(all, "Careful: this reads what Secrets hold.")
	}
	if of("deployments", "statefulsets", "daemonsets", "jobs", "cronjobs") && may("create", "update", "patch") {
		all = append(all, "Careful: who may write a workload may run any image there, with any ServiceAccount of the namespace.")
	}
	return all
}

// plainWord is a YAML scalar that needs no quotes; the words that YAML reads as something else do.
var plainWord = regexp.MustCompile(`^[a-z][a-z0-9./-]*$`)

func scalar(text string) string {
	if plainWord.MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, text) {
		return text
	}
	return strconv.Quote(text)
}

func scalars(all []string) string {
	quoted := make([]string, len(all))
	for i, text := range all {
		quoted[i] = scalar(text)
	}
	return strings.Join(quoted, ", ")
}

func (a *app) rolesTable(r roles) error {
	g := a.grid("NAMESPACE", "GROUP", "RESOURCES", "NAMES", "VERBS", "FOR")
	for _, role := range r.roles {
		for _, rule := range role.Rules {
			g.row(dash(role.Namespace), dash(rule.Group), lined(rule.Resources), cmp.Or(lined(rule.Names), "-"), strings.Join(rule.Verbs, ","), lined(reasons(rule)))
		}
	}
	var page bytes.Buffer
	g.print(&page, "")
	return a.write(page.Bytes())
}

// lined puts one word in each line of a cell.
func lined(all []string) string {
	shown := make([]string, len(all))
	for i, text := range all {
		shown[i] = visible(text)
	}
	return strings.Join(shown, "\n")
}
