package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/prometheus/common/config"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/scaffold"
	"astern.dev/astern/rules/expr"
)

// initFlags are what `init` is told.
type initFlags struct {
	prometheus, alertmanager, astern string
	target, environment, since       string
	httpConfig                       string
}

func initCommand(a *app) *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use: "init --prometheus URL --alertmanager URL [DIR]", Short: "Write a first configuration from what a Prometheus and an Alertmanager know",
		Long: "Ask a Prometheus and an Alertmanager for their alerts, the labels these carry and the routes they take, and write a\n" +
			"first configuration into DIR (./astern without a word): a rule for each alert that a release may be behind, the\n" +
			"targets, the server, the route for Alertmanager, a rule test. Everything observes. Each file says what it is and what\n" +
			"a person must still decide. Nothing is changed elsewhere, and no file is ever overwritten. One of the two addresses is\n" +
			"enough; what is missing is said. On a terminal it asks at most two questions, else none.",
		Example: "  astern init --prometheus http://localhost:9090 --alertmanager http://localhost:9093\n" +
			"  astern init --prometheus http://prometheus:9090 --target-label app --environment-label none config",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "astern"
			if len(args) > 0 {
				dir = args[0]
			}
			return a.init(cmd.Context(), dir, f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.prometheus, "prometheus", "", "address of Prometheus")
	flags.StringVar(&f.alertmanager, "alertmanager", "", "address of Alertmanager")
	flags.StringVar(&f.astern, "astern", "http://astern:9494", "where Alertmanager will find astern")
	flags.StringVar(&f.target, "target-label", "", "label that says what can be rolled back, such as service")
	flags.StringVar(&f.environment, "environment-label", "", "label that says in which environment it runs; none for none")
	flags.StringVar(&f.httpConfig, "http-config", "", "file with http_config as in Prometheus, for servers that want credentials")
	flags.StringVar(&f.since, "since", "30d", "how far back alerts are looked for")
	return c
}

func (a *app) init(ctx context.Context, dir string, f initFlags) error {
	sources, err := a.sources(f)
	if err != nil {
		return err
	}
	found, err := scaffold.Look(ctx, sources)
	if err != nil {
		return unanswered(err)
	}
	target, environment, err := a.chosen(ctx, found, f)
	if err != nil {
		return err
	}
	draft := found.Draft(target, environment)
	if sources.Prometheus != nil {
		draft.Ask(ctx, sources.Prometheus, sources.Now)
	}
	files, err := draft.Files(scaffold.Settings{PrometheusURL: f.prometheus, AlertmanagerURL: f.alertmanager, AsternURL: f.astern, Credentials: f.httpConfig != "", Since: sources.Since}, rand.Text)
	if err != nil {
		return err
	}
	written, err := scaffold.Write(dir, files)
	if err != nil {
		return usage("%s", err)
	}
	if len(written.Files) == 0 {
		return fail(exitNo, "name another directory", "nothing was written: all of it is in %s already: %s", dir, strings.Join(written.Kept, ", "))
	}
	mistakes, err := checkWritten(dir)
	if err != nil {
		return err
	}
	return a.initiated(dir, draft, written, mistakes)
}

// sources opens what was named. A person types these addresses, so that this machine's own are allowed.
func (a *app) sources(f initFlags) (scaffold.Sources, error) {
	s := scaffold.Sources{Now: a.now(), Labels: named(f.target, f.environment)}
	if f.prometheus == "" && f.alertmanager == "" {
		return s, usageHint("astern init --prometheus http://localhost:9090 --alertmanager http://localhost:9093", "name a Prometheus, an Alertmanager or both")
	}
	var err error
	if s.Since, err = actions.ParseDuration(f.since); err != nil || s.Since <= 0 {
		return s, usage("--since: want a time such as 30d, not %q", f.since)
	}
	if _, err := client.ParseRoot(f.astern); err != nil {
		return s, usage("--astern: %s", err)
	}
	dial := client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	prometheus, alertmanager := client.ServerConnection{URL: f.prometheus}, client.ServerConnection{URL: f.alertmanager}
	if f.httpConfig != "" {
		through, _, err := config.LoadHTTPConfigFile(f.httpConfig)
		if err != nil {
			return s, usage("--http-config: %s", err)
		}
		prometheus.HTTPConfig, alertmanager.HTTPConfig = *through, *through
	}
	if s.Prometheus, err = reached[client.Prometheus]("--prometheus", f.prometheus, &client.PrometheusConnection{ServerConnection: prometheus}, dial); err != nil {
		return s, err
	}
	s.Alertmanager, err = reached[client.Alertmanager]("--alertmanager", f.alertmanager, &client.AlertmanagerConnection{ServerConnection: alertmanager}, dial)
	return s, err
}

func reached[T any](flag, address string, connection actions.Connection, dial actions.Dial) (*T, error) {
	if address == "" {
		return nil, nil
	}
	if err := connection.Validate(); err != nil {
		return nil, usage("%s: %s", flag, strings.TrimPrefix(err.Error(), "url: "))
	}
	server, err := connection.Open(dial)
	if err != nil {
		return nil, usage("%s: %s", flag, err)
	}
	return server.(*T), nil
}

// named are the labels that flags name.
func named(labels ...string) []string {
	var all []string
	for _, label := range labels {
		if label != "" && label != scaffold.None {
			all = append(all, label)
		}
	}
	return all
}

// unanswered is the failure of a server that was to be asked.
func unanswered(err error) error {
	var from *scaffold.UnreachableError
	var refused *client.RefusedError
	switch {
	case !errors.As(err, &from):
		return err
	case errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden):
		return fail(exitNotAllowed, "give its credentials in a file with --http-config", "%s; nothing was written", err)
	case errors.As(err, &refused):
		return fail(exitUnreachable, "is that the address of "+from.Who+", with its path prefix?", "%s; nothing was written", err)
	}
	return fail(exitUnreachable, "open the address in a browser: does "+from.Who+" answer there?", "%s; nothing was written", err)
}

// checkWritten is `astern check` on what is there now, with files of others among it.
func checkWritten(dir string) (expr.Diagnostics, error) {
	f, err := find([]string{filepath.Join(dir, "astern.yaml")})
	if err != nil {
		return nil, err
	}
	l, mistakes, err := f.load()
	if err != nil {
		return nil, err
	}
	if err := f.meet(neighbours{flagSet: pflag.NewFlagSet("", pflag.ContinueOnError)}); err != nil {
		return nil, err
	}
	return f.linted(l, mistakes), nil
}

// wrongs counts what was found wrong.
func wrongs(mistakes expr.Diagnostics) string {
	if n := mistakes.Errors(); n > 0 {
		return count(n, "mistake")
	}
	warnings := 0
	for _, m := range mistakes {
		if m.Warning {
			warnings++
		}
	}
	if warnings > 0 {
		return fmt.Sprintf("no mistakes, %s", count(warnings, "warning"))
	}
	return "no mistakes"
}
