package scaffold

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"time"
)

//go:embed files/*.tmpl
var templates embed.FS

// Settings are what the files say beside what was found.
type Settings struct {
	// PrometheusURL and AlertmanagerURL are the addresses that were named; empty when they were not.
	PrometheusURL, AlertmanagerURL string
	// AsternURL is where Alertmanager will find astern.
	AsternURL string
	// Credentials says that the servers were asked with some, which astern.yaml then needs, too.
	Credentials bool
	Since       time.Duration
}

// File is one file to be written. About says in a few words what it is.
type File struct {
	Name, About string
	Text        []byte
	// Secret files are for their owner alone.
	Secret bool
}

// Files gives the text of each file, in the order of reading. token makes a secret.
func (d *Draft) Files(s Settings, token func() string) ([]File, error) {
	v := d.view(s)
	all := []File{
		{Name: "astern.yaml", About: "the server: who may knock, connections, modes, guards"},
		{Name: "rules.yaml", About: "when to act; one rule for each alert"},
		{Name: "targets.yaml", About: "what can be rolled back"},
		{Name: "procedures.yaml", About: "how to roll back; to be replaced"},
		{Name: "communications.yaml", About: "who is told; nobody yet"},
		{Name: "alertmanager-route.yml", About: "two routes and a receiver for Alertmanager's configuration"},
	}
	if s.PrometheusURL != "" && !d.Watchdog {
		all = append(all, File{Name: "prometheus-watchdog.yaml", About: "the alert that shows that monitoring is alive; for Prometheus"})
	}
	if v.Test != nil {
		all = append(all, File{Name: "rules_test.yaml", About: "a first rule test"})
	}
	all = append(all, File{Name: "README.md", About: "these files, and what comes next"})
	v.Written = append(slices.Clone(all), secrets(token)...)
	parsed, err := template.New("").Funcs(template.FuncMap{"inFlow": inFlow, "inTemplate": inTemplate, "inBlock": inBlock, "quoted": quoted, "inComment": inComment}).ParseFS(templates, "files/*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("read the templates: %w", err)
	}
	for i := range all {
		var text bytes.Buffer
		if err := parsed.ExecuteTemplate(&text, all[i].Name+".tmpl", v); err != nil {
			return nil, fmt.Errorf("write %s: %w", all[i].Name, err)
		}
		all[i].Text = text.Bytes()
	}
	return append(all, v.Written[len(all):]...), nil
}

func secrets(token func() string) []File {
	return []File{
		{Name: "secrets/.gitignore", About: "keeps secrets out of git", Text: []byte("*\n!.gitignore\n")},
		{Name: "secrets/alertmanager.token", About: "what Alertmanager shows at the door", Text: []byte(token() + "\n"), Secret: true},
		{Name: "secrets/admin.token", About: "your token for the commands", Text: []byte(token() + "\n"), Secret: true},
	}
}

// view is what the templates see.
type view struct {
	*Draft
	Settings
	Since        string
	Loopback     bool
	Environments []string
	LabelList    string
	Lacking      bool // a rule's alerts choose no target
	Unconfirmed  bool // a rule has no confirm
	Groups       []groupView
	Targets      []targetView
	Door         string
	Where        []string
	TakesTimeout bool
	ExampleQuery string
	ExampleLimit string
	Test         *testView
	Written      []File
}

type groupView struct {
	Name  string
	Rules []ruleView
}

type ruleView struct {
	*Rule
	Summary    string
	WantsFloor bool
	Comments   []string
}

type targetView struct {
	Target
	Select, Vars string
}

func (d *Draft) view(s Settings) *view {
	v := &view{Draft: d, Settings: s, Since: short(s.Since), Loopback: loopback(s.PrometheusURL) || loopback(s.AlertmanagerURL),
		LabelList: strings.Join(d.Labels(), ", "), Door: strings.TrimRight(s.AsternURL, "/") + "/api/v1/alertmanager",
		Where: d.where(), TakesTimeout: d.Routing.takesTimeout(), Test: d.test()}
	v.ExampleQuery, v.ExampleLimit = d.exampleQuery()
	for _, r := range d.Rules {
		v.Lacking, v.Unconfirmed = v.Lacking || len(r.Lacks) > 0, v.Unconfirmed || len(r.Confirm) == 0
	}
	for _, t := range d.Targets {
		v.Targets = append(v.Targets, d.targetView(t))
		if name := inFlow(t.Environment); d.Choice.Environment != "" && !slices.Contains(v.Environments, name) {
			v.Environments = append(v.Environments, name)
		}
	}
	slices.Sort(v.Environments)
	v.Groups = d.groups()
	return v
}

// groups are Prometheus' own, and one for what only Alertmanager knows.
func (d *Draft) groups() []groupView {
	at := map[string]int{}
	var all []groupView
	for _, r := range d.Rules {
		name := "alertmanager"
		if r.Alert.Rule != nil {
			name = r.Alert.Rule.Group
		}
		i, seen := at[name]
		if !seen {
			i, at[name] = len(all), len(all)
			all = append(all, groupView{Name: name})
		}
		all[i].Rules = append(all[i].Rules, d.ruleView(r))
	}
	return all
}

func (d *Draft) ruleView(r *Rule) ruleView {
	v := ruleView{Rule: r, Summary: inTemplate(r.Alert.Name) + " fires for ${target.name}", WantsFloor: r.wantsFloor() && len(r.Lacks) == 0}
	for _, a := range r.made {
		if a.Rule == nil {
			v.Comments = append(v.Comments, "Alertmanager holds this alert; "+a.why+".")
			continue
		}
		v.Comments = append(v.Comments, "Prometheus: "+inComment(a.Rule.Query), waits(a.Rule.Wait))
	}
	if len(r.Lacks) > 0 {
		v.Comments = append(v.Comments, fmt.Sprintf("Its alerts carry no %s: they choose no target until the alert keeps that label, or this rule says `target:`.", strings.Join(r.Lacks, " and no ")))
	}
	return v
}

func waits(wait time.Duration) string {
	if wait == 0 {
		return "Prometheus does not wait: with `for: 5m` here astern would, and prove that it lasted."
	}
	return fmt.Sprintf("Prometheus waits %s before it fires: a `for` here would come on top.", short(wait))
}

func (d *Draft) targetView(t Target) targetView {
	v := targetView{Target: t}
	var selects, vars []string
	for i, label := range d.Labels() {
		value := inFlow(t.Values[i])
		selects = append(selects, inFlow(label)+": "+value)
		if name, isVar := strings.CutPrefix(d.stands[label], "target.vars."); isVar {
			vars = append(vars, name+": "+value)
		}
	}
	v.Select, v.Vars = strings.Join(selects, ", "), strings.Join(vars, ", ")
	return v
}

// exampleQuery is one of the queries, and half of what is too much of it: a person knows then what is meant.
func (d *Draft) exampleQuery() (query, limit string) {
	for _, r := range d.Rules {
		if r.Asked != "" && r.wantsFloor() && r.conditions[0].limit > 0 {
			half := condition{op: r.conditions[0].op, limit: r.conditions[0].limit / 2}
			return r.Confirm[0].Text, strings.TrimPrefix(half.holds(), "value "+half.op.String()+" ")
		}
	}
	if d.Choice.Target == "" {
		return `errors:ratio:rate1m{service="${target.name}"}`, "0.005"
	}
	return fmt.Sprintf(`errors:ratio:rate1m{%s="${%s}"}`, quotedLabel(d.Choice.Target), d.stands[d.Choice.Target]), "0.005"
}

// where says where the routes belong in the configuration that was found.
func (d *Draft) where() []string {
	r := d.Routing
	if r == nil {
		return []string{"Put both routes before all others under `route: routes:`, and the receiver under `receivers:`."}
	}
	where := []string{fmt.Sprintf("Put both routes under `route: routes:`, before the %s there: %s. The receiver goes under `receivers:`.", plural(r.Routes, "route"), inComment(r.First))}
	if r.Routes == 0 {
		where = []string{"The route has no `routes:` yet: write them under it. The receiver goes under `receivers:`."}
	}
	where = append(where, fmt.Sprintf("What no route takes still goes to the receiver %q.", inComment(r.Root)))
	if len(r.Ours) > 0 {
		where = append(where, fmt.Sprintf("There is a receiver %q already: if it leads to astern, compare it with this one.", inComment(r.Ours[0])))
	}
	return where
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// loopback says that an address is this machine's, which astern refuses to dial unless it is told.
func loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || err == nil && ip.IsLoopback()
}

// short writes a duration as Prometheus does: 30d, 1h30m, 5m.
func short(d time.Duration) string {
	day := 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
