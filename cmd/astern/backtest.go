package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate/backtest"
	"astern.dev/astern/rules/expr"
	"astern.dev/astern/web"
)

// backtestFlags are what `backtest` is told.
type backtestFlags struct {
	prometheus, httpConfig, bearer string
	rule, since, until, alive      string
	step, follow                   time.Duration
	releases, releasesFile         string
	external                       map[string]string
	state                          string
	fresh, diff                    bool
	parallel                       int
}

func backtestCommand(a *app) *cobra.Command {
	var f backtestFlags
	c := &cobra.Command{
		Use: "backtest --prometheus URL [FILES|DIR]", Short: "What these rules would have done in the last 90 days, by what a Prometheus recorded",
		Long: "Read from a Prometheus which alerts fired and which releases ran, let that past happen once more with these rules,\n" +
			"whose queries the same Prometheus answers as of then, and say which rollbacks they would have begun, by what evidence,\n" +
			"and how long before a person moved the target back. It needs nothing but the address of a Prometheus, and changes\n" +
			"nothing anywhere. Every rule is judged as if it might act, whatever its mode; each would-be rollback is judged on\n" +
			"its own: none of them changes what comes after it, so that no cooldown or budget of one holds another.\n\n" +
			"What was read is kept in a folder, so that a run that broke off goes on where it was. With --diff, two configurations\n" +
			"are held against each other, and what would change is written as Markdown for a pull request.",
		Example: "  astern backtest --prometheus http://localhost:9090\n" +
			"  astern backtest --prometheus http://localhost:9090 --rule checkout-5xx --since 30d config\n" +
			"  astern backtest --prometheus http://localhost:9090 --releases-file releases.csv -o json\n" +
			"  astern backtest --prometheus http://localhost:9090 --diff main/config config",
		RunE: func(cmd *cobra.Command, args []string) error { return a.backtest(cmd.Context(), args, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.prometheus, "prometheus", "", "address of Prometheus; without a word the only one in astern.yaml")
	flags.StringVar(&f.httpConfig, "http-config", "", "file with http_config as in Prometheus, for a server that wants credentials")
	flags.StringVar(&f.bearer, "bearer-token-file", "", "file that holds the token for Prometheus")
	flags.StringVar(&f.rule, "rule", "", "report this rule alone")
	flags.StringVar(&f.since, "since", "90d", "where to begin: how long before the end, or a time such as 2026-11-01T00:00:00Z")
	flags.StringVar(&f.until, "until", "", "where to end: how long ago, or a time; now without a word")
	flags.DurationVar(&f.step, "step", 0, "how often alerting rules are evaluated; without a word it is found in the data")
	flags.DurationVar(&f.follow, "follow", backtest.DefaultFollow, "how long an alert that goes on firing is followed")
	flags.StringVar(&f.releases, "releases", "", "file that says which series tell of releases")
	flags.StringVar(&f.releasesFile, "releases-file", "", "file with the releases: CSV or YAML with target, version, at, rolled_back, verdict, vars")
	flags.StringToStringVar(&f.external, "external-label", nil, "label that Prometheus adds to its alerts (external_labels), `NAME=VALUE`")
	flags.StringVar(&f.alive, "alive", backtest.DefaultAlive, "query for the time of the newest sample, by which gaps are found")
	flags.StringVar(&f.state, "state", "", "folder that keeps what was read; without a word in the user's cache")
	flags.BoolVar(&f.fresh, "fresh", false, "keep nothing and use nothing that was kept")
	flags.IntVar(&f.parallel, "parallel", 4, "how many questions are asked at a time")
	flags.BoolVar(&f.diff, "diff", false, "compare two configurations: OLD NEW, each a directory or a file")
	return c
}

func (a *app) backtest(ctx context.Context, args []string, f backtestFlags) error {
	configurations, loadeds, err := a.tried(args, f)
	if err != nil {
		return err
	}
	o, err := a.pastOf(loadeds[len(loadeds)-1], f)
	if err != nil {
		return err
	}
	from, err := a.releaseSources(f)
	if err != nil {
		return err
	}
	shown := a.reading()
	defer shown.clear()
	o.Progress = shown.at
	history, err := backtest.Read(ctx, o, from, configurations...)
	if err != nil {
		shown.clear()
		return a.unread(ctx, err, o.State)
	}
	if f.diff {
		return a.backtestDiff(ctx, history, configurations, f.rule, shown)
	}
	report, err := backtest.Run(ctx, history, configurations[0], f.rule)
	shown.clear()
	if err != nil {
		return a.unread(ctx, err, o.State)
	}
	got, err := document("Backtest", func(h web.Header) backtestDocument { return backtestDocument{h, report} })
	if err != nil {
		return err
	}
	return show(a, got, backtestNames, a.backtestPage)
}

// backtestDocument is `astern backtest -o json`.
type backtestDocument struct {
	web.Header
	*backtest.Report
}

// backtestNames are the rollbacks that would have begun, each as RULE TARGET TIME.
func backtestNames(d backtestDocument) []string {
	var names []string
	for _, c := range d.Cases {
		if c.Act != nil {
			names = append(names, fmt.Sprintf("%s %s %s", c.Rule, c.Target, c.Act.At.UTC().Format(time.RFC3339)))
		}
	}
	return names
}

// diffDocument is `astern backtest --diff -o json`.
type diffDocument struct {
	web.Header
	*backtest.Diff
}

func (a *app) backtestDiff(ctx context.Context, h *backtest.History, both []*backtest.Configuration, rule string, shown *reading) error {
	diff, err := backtest.Compare(ctx, h, both[0], both[1], rule)
	shown.clear()
	if err != nil {
		return a.unread(ctx, err, "")
	}
	got, err := document("BacktestDiff", func(h web.Header) diffDocument { return diffDocument{h, diff} })
	if err != nil {
		return err
	}
	changed := func(d diffDocument) []string {
		var names []string
		for _, r := range d.Rules {
			if r.Changed > 0 {
				names = append(names, r.Rule)
			}
		}
		return names
	}
	return show(a, got, changed, func(w io.Writer, d diffDocument) { d.Markdown(w) })
}

// tried loads the configuration, or both of a difference.
func (a *app) tried(args []string, f backtestFlags) ([]*backtest.Configuration, []*loaded, error) {
	groups := [][]string{args}
	if f.diff {
		if len(args) != 2 {
			return nil, nil, usageHint("astern backtest --prometheus URL --diff OLD NEW", "--diff takes two configurations, not %d", len(args))
		}
		groups = [][]string{args[:1], args[1:]}
	}
	var all []*backtest.Configuration
	var from []*loaded
	known := []string{}
	for _, g := range groups {
		found, err := find(g)
		if err != nil {
			return nil, nil, err
		}
		l, mistakes, err := found.load()
		if err == nil {
			err = mistakes.Err()
		}
		if err != nil {
			return nil, nil, err
		}
		if len(l.Rules.Rules()) == 0 || len(l.Book.Targets()) == 0 {
			return nil, nil, usageHint("give the directory of the configuration: rules, targets and procedures", "there is nothing to try without rules and targets")
		}
		for _, r := range l.Rules.Rules() {
			known = append(known, r.Name)
		}
		all, from = append(all, configurationTried(l)), append(from, l)
	}
	if f.rule != "" && !slices.Contains(known, f.rule) {
		return nil, nil, usageHint(expr.Near(f.rule, known), "there is no rule %q", f.rule)
	}
	return all, from, nil
}

func configurationTried(l *loaded) *backtest.Configuration {
	c := &backtest.Configuration{Registry: l.Registry, Rules: l.Rules, Book: l.Book, Digest: l.Digest, TeamGuards: map[string]incident.Guards{}}
	if l.Config != nil {
		c.Guards = l.Config.Guards
		if len(l.Config.Senders) > 0 {
			c.Sender = l.Config.Senders[0].Name
		}
		for _, t := range l.Config.Teams {
			c.TeamGuards[t.Name] = t.Guards
		}
	}
	return c
}

// The client for the past: chunks are large and take the server a while.
const (
	pastPatience = 2 * time.Minute
	pastAnswer   = 256 << 20
	// Remote writes, and rules that look at an earlier time, add samples to the last minutes.
	pastSettles = time.Hour
)

// pastOf says what is read of which server. A person types its address, so that this machine's own is allowed.
func (a *app) pastOf(l *loaded, f backtestFlags) (o backtest.Options, err error) {
	o = backtest.Options{Step: f.step, Follow: f.follow, Parallel: f.parallel, Alive: f.alive, ExternalLabels: f.external}
	if o.Until, err = pastMoment("--until", f.until, a.now().Truncate(time.Minute), a.now().Truncate(time.Minute)); err != nil {
		return o, err
	}
	if o.Since, err = pastMoment("--since", f.since, o.Until, o.Until); err != nil {
		return o, err
	}
	if !o.Since.Before(o.Until) {
		return o, usage("--since must lie before --until")
	}
	if err := f.wise(); err != nil {
		return o, err
	}
	through, allow, err := prometheusOf(l, &f)
	if err != nil {
		return o, err
	}
	o.URL, o.Settled = f.prometheus, a.now().Add(-pastSettles)
	if o.Asker, err = askerOf(f); err != nil {
		return o, usage("--http-config: %s", err)
	}
	if o.HTTP, err = client.NewHTTP(client.HTTPConfig{Client: through, Timeout: pastPatience, MaxAnswer: pastAnswer}, client.NewDialer(allow)); err != nil {
		return o, usage("--http-config: %s", err)
	}
	switch {
	case f.fresh:
	case f.state != "":
		o.State = f.state
	case a.cache != "":
		o.State = filepath.Join(a.cache, "backtest")
	}
	return o, keepable(o.State)
}

// wise says what is wrong with the numbers and names that flags give.
func (f backtestFlags) wise() error {
	switch {
	case f.step < 0 || f.step%time.Second != 0:
		return usage("--step: want whole seconds such as 15s")
	case f.step > time.Hour:
		return usageHint("write how often Prometheus evaluates its rules: evaluation_interval", "--step: %s is longer than an hour: most alerts would be overlooked", f.step)
	case f.parallel < 1:
		return usage("--parallel: want 1 or more")
	case f.follow <= 0:
		return usage("--follow: want a time such as 6h")
	}
	for name := range f.external {
		if !model.UTF8Validation.IsValidLabelName(name) {
			return usageHint("write --external-label NAME=VALUE", "--external-label: %q is no name of a label", name)
		}
	}
	return nil
}

// keepable says before anything is asked whether what is read can be kept.
func keepable(dir string) error {
	if dir == "" {
		return nil
	}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var trial *os.File
		if trial, err = os.CreateTemp(dir, ".chunk-*"); err == nil {
			err = errors.Join(trial.Close(), os.Remove(trial.Name()))
		}
	}
	if err != nil {
		return usageHint("name another folder with --state, or keep nothing with --fresh", "keep what is read: %s", err)
	}
	return nil
}

// askerOf is what the answers depend on beside the address: a file of credentials may name a tenant in a header.
func askerOf(f backtestFlags) (string, error) {
	if f.httpConfig == "" {
		return f.bearer, nil
	}
	said, err := os.ReadFile(f.httpConfig)
	return string(said), err
}

// pastMoment reads a time, or how long before another one it was.
func pastMoment(flag, text string, before, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	d, err := expr.ParseDuration(text)
	if err != nil || d == 0 {
		return before, usage("%s: %q is neither a duration such as 90d nor a time such as 2026-11-01T00:00:00Z", flag, text)
	}
	return before.Add(-d).UTC(), nil
}

// prometheusOf is how the server is reached: as the flags say, else as the only one in astern.yaml.
func prometheusOf(l *loaded, f *backtestFlags) (through config.HTTPClientConfig, allow []netip.Prefix, err error) {
	allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if f.prometheus == "" && l.Config != nil && len(l.Config.Connections["prometheus"]) == 1 {
		for _, c := range l.Config.Connections["prometheus"] {
			if only, ok := c.(*client.PrometheusConnection); ok {
				f.prometheus, through, allow = only.URL, only.HTTPConfig, append(allow, l.Config.Egress.Allow...)
			}
		}
	}
	if f.prometheus == "" {
		return through, nil, usageHint("astern backtest --prometheus http://localhost:9090", "the address of a Prometheus is needed")
	}
	if _, err := client.ParseRoot(f.prometheus); err != nil {
		return through, nil, usage("--prometheus: %s", err)
	}
	if f.httpConfig != "" && f.bearer != "" {
		return through, nil, usage("give --http-config or --bearer-token-file, not both")
	}
	if f.httpConfig != "" {
		read, _, err := config.LoadHTTPConfigFile(f.httpConfig)
		if err != nil {
			return through, nil, usage("--http-config: %s: %s", f.httpConfig, err)
		}
		through = *read
	}
	if f.bearer != "" {
		if _, err := os.Stat(f.bearer); err != nil {
			return through, nil, usage("--bearer-token-file: %s", err)
		}
		through = config.HTTPClientConfig{Authorization: &config.Authorization{Type: "Bearer", CredentialsFile: f.bearer}}
	}
	return through, allow, nil
}

func (a *app) releaseSources(f backtestFlags) (from backtest.Sources, err error) {
	if f.releases != "" {
		data, err := os.ReadFile(f.releases)
		if err != nil {
			return from, usage("--releases: %s", err)
		}
		mappings, mistakes := backtest.ReadMappings(f.releases, data)
		if mistakes.Err() != nil {
			return from, a.mistaken(mistakes)
		}
		from.Mappings = mappings
	}
	if f.releasesFile != "" {
		data, err := os.ReadFile(f.releasesFile)
		if err != nil {
			return from, usage("--releases-file: %s", err)
		}
		if from.Told, from.Words, err = backtest.ReadReleases(f.releasesFile, data); err != nil {
			if mistakes := (expr.Diagnostics)(nil); errors.As(err, &mistakes) {
				return from, a.mistaken(mistakes)
			}
			return from, usage("--releases-file: %s", err)
		}
	}
	if f.releases == "" && len(from.Told) == 0 {
		from.Mappings = backtest.DefaultMappings()
	}
	return from, nil
}

// mistaken shows the mistakes of a file that tells of releases. It is no configuration, and `astern check` does not read it.
func (a *app) mistaken(mistakes expr.Diagnostics) error {
	a.note("%s\n", a.diagnostics(mistakes))
	return usage("%s in the file; nothing was read", count(mistakes.Errors(), "mistake"))
}
