package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/web"
)

// explaining is what the flags and arguments of `explain` say.
type explaining struct {
	file, ago, at, rule, source string
	all                         bool
	asksServer                  bool // --server was written
	labels                      map[string]string
	args                        []string // those that are no labels
}

func explainCommand(a *app) *cobra.Command {
	var q explaining
	c := &cobra.Command{
		Use: "explain [INCIDENT] [LABEL=VALUE...]", Short: "Say why something happened to an alert, or why nothing did",
		Long: "For one alert: every rule, matched or with the part that was false or missing; the target, the mode, the timer, every guard;\n" +
			"and what would change the outcome. It changes nothing.\n\n" +
			"The alert is that of a stored incident; or the newest one that was delivered up to a moment, with the labels given; or that\n" +
			"of a file: a notification of Alertmanager, one alert, or what the APIs of Alertmanager and Prometheus show (- reads standard\n" +
			"input). What was decided then is explained by the configuration of that moment. A file is explained without a server, by the\n" +
			"configuration in FILES or DIR; with --server, the server judges it as if it came now, and asks every guard.",
		Example: "  astern explain honeylink-api-7\n  astern explain --ago 10m alertname=ErrorRateSpike service=honeylink-api\n  astern explain --at 2026-11-22T14:02:31Z\n" +
			"  astern explain --file payload.json examples/honeylink\n  astern explain --file payload.json --rule ErrorRateSpike\n  amtool alert -o json | astern explain --server http://astern:9494 --file -",
		RunE: func(cmd *cobra.Command, args []string) error {
			q.asksServer = cmd.Flags().Changed("server")
			if err := q.read(args); err != nil {
				return err
			}
			got, err := a.explanations(cmd.Context(), q)
			if err != nil {
				return err
			}
			if err := q.knows(got.value); err != nil {
				return err
			}
			return show(a, got, ends, func(w io.Writer, l web.ExplanationList) { a.explained(w, l, q) })
		},
	}
	f := c.Flags()
	f.StringVarP(&q.file, "file", "f", "", "explain the alert in this file; - is standard input")
	f.StringVar(&q.ago, "ago", "", "the newest alert up to this long ago, such as 10m or 2d")
	f.StringVar(&q.at, "at", "", "the newest alert up to this moment, such as 2026-11-22T14:02:31Z; for a file: the moment it is judged at")
	f.StringVar(&q.rule, "rule", "", "show every part of this rule")
	f.StringVar(&q.source, "source", "", "the sender that the alert of a file counts as")
	f.BoolVar(&q.all, "all", false, "list every rule, not only the nearest")
	return c
}

var labelArgument = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*=`)

// read sorts the arguments and holds the flags against each other.
func (q *explaining) read(args []string) error {
	q.labels = map[string]string{}
	for _, arg := range args {
		if !labelArgument.MatchString(arg) {
			q.args = append(q.args, arg)
			continue
		}
		name, value, _ := strings.Cut(arg, "=")
		q.labels[name] = strings.Trim(value, `"`)
	}
	switch {
	case q.ago != "" && q.at != "":
		return usage("--ago and --at exclude each other")
	case q.file != "" && q.ago != "":
		return usageHint("--at says when the alert of a file is judged", "--ago looks into the ledger: it does not go with --file")
	case q.file != "" && q.asksServer && q.at != "":
		return usage("the server judges the alert of a file now: --at does not go with --server")
	case q.file != "" && q.asksServer && len(q.args) > 0:
		return usageHint("leave out --server to explain by files", "the server has its own configuration: %s is not asked for", q.args[0])
	case q.file == "" && len(q.args) > 1:
		return usageHint("labels are written LABEL=VALUE", "explain takes one incident, not %d", len(q.args))
	case q.file == "" && len(q.args) == 1 && (q.ago != "" || q.at != "" || len(q.labels) > 0):
		return usageHint("labels are written LABEL=VALUE", "an incident is explained by its history: --ago, --at and labels do not go with %s", q.args[0])
	case q.file == "" && q.source != "":
		return usage("--source is for the alert of a file")
	}
	return nil
}

// moment is the time that --at or --ago names; now without either.
func (q *explaining) moment(now time.Time) (time.Time, error) {
	switch {
	case q.at != "":
		at, err := time.Parse(time.RFC3339, q.at)
		if err != nil {
			return now, usageHint("write it as 2026-11-22T14:02:31Z", "--at: %q is no moment", q.at)
		}
		return at, nil
	case q.ago != "":
		ago, err := actions.ParseDuration(q.ago)
		if err != nil {
			return now, usage("--ago: %s", err)
		}
		return now.Add(-ago), nil
	}
	return now, nil
}

func (a *app) explanations(ctx context.Context, q explaining) (got answer[web.ExplanationList], err error) {
	at, err := q.moment(a.now())
	if err != nil {
		return got, err
	}
	request := web.ExplainRequest{Labels: q.labels, Source: q.source}
	switch {
	case q.file != "":
		payload, err := a.payload(ctx, q.file)
		if err != nil {
			return got, err
		}
		if !q.asksServer {
			return a.explainByFiles(q, payload, at)
		}
		request.Notification = payload
	case len(q.args) == 1:
		request.Incident = q.args[0]
	case q.at != "" || q.ago != "":
		request.At = at
	}
	c, err := a.connect()
	if err != nil {
		return got, err
	}
	return post[web.ExplanationList](ctx, c, apiPath("explain"), request)
}

// payloadLimit is what the API takes.
const payloadLimit = 1 << 20

func (a *app) payload(ctx context.Context, name string) ([]byte, error) {
	in, whence := a.in, "standard input"
	if name != "-" {
		whence = name
		file, err := os.Open(name)
		if err != nil {
			return nil, usage("read the alert: %s", err)
		}
		defer file.Close()
		in = file
	}
	raw, err := readUntil(ctx, io.LimitReader(in, payloadLimit+1))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, usage("read the alert: %s", err)
	case len(raw) > payloadLimit:
		return nil, usage("read the alert: %s is larger than %d MiB", whence, payloadLimit>>20)
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, usageHint("a notification of Alertmanager, or one alert", "read the alert: nothing is in %s", whence)
	case !json.Valid(raw):
		return nil, usageHint("a notification of Alertmanager, or one alert", "read the alert: %s is no JSON", whence)
	}
	return raw, nil
}

// readUntil reads to the end, or until the context ends: on a terminal that may be never, and Ctrl-C must end it. What still
// waits for the reader then ends with the process.
func readUntil(ctx context.Context, in io.Reader) ([]byte, error) {
	type reading struct {
		raw []byte
		err error
	}
	done := make(chan reading, 1)
	go func() {
		raw, err := io.ReadAll(in)
		done <- reading{raw, err}
	}()
	select {
	case got := <-done:
		return got.raw, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// explainByFiles says what the files decide.
func (a *app) explainByFiles(q explaining, payload []byte, at time.Time) (got answer[web.ExplanationList], err error) {
	alerts, left, err := web.Pick(payload, q.labels, at)
	if err != nil {
		return got, usage("read the alert: %s: %s", q.file, err)
	}
	f, err := find(q.args)
	if err != nil {
		return got, err
	}
	l, mistakes, err := f.load()
	if err != nil {
		return got, err
	}
	if mistakes.Err() != nil {
		fmt.Fprintf(a.err, "%s\n\n", a.diagnostics(mistakes))
		return got, usage("the files have %s: nothing is explained by them", count(mistakes.Errors(), "mistake"))
	}
	cfg := l.onPaper()
	return document("ExplanationList", func(h web.Header) web.ExplanationList {
		list := web.ExplanationList{Header: h, Items: []engine.Explanation{}, Left: left}
		for _, d := range alerts {
			d.Alert.Source = q.source
			x := engine.ExplainFiles(cfg, d, at)
			if l.Config == nil {
				x.Notes = append(x.Notes, "without an astern.yaml the ceiling of the environment is not known")
			}
			if len(alerts) > 1 {
				x = x.Short()
			}
			list.Items = append(list.Items, x)
		}
		return list
	})
}

// onPaper is the configuration without what only a server has: no connection is opened, no secret read.
func (l *loaded) onPaper() *engine.Configuration {
	cfg := &engine.Configuration{Rules: l.Rules, Book: l.Book, Digest: l.Digest}
	if l.Config != nil {
		cfg.Settings = closedSettings(l.Config)
	}
	return cfg
}

// knows refuses a rule that is not there.
func (q *explaining) knows(l web.ExplanationList) error {
	if q.rule == "" {
		return nil
	}
	for _, x := range l.Items {
		if slices.ContainsFunc(x.Rules, func(w engine.RuleWord) bool { return w.Rule == q.rule }) {
			return nil
		}
	}
	if len(l.Items) > 1 {
		return usageHint("name labels of one alert, such as alertname=ErrorRateSpike", "--rule: %d alerts are explained shortly, without rule %q", len(l.Items), q.rule)
	}
	return usageHint("`astern rules` lists the rules in force", "--rule: there is no rule %q", q.rule)
}

func ends(l web.ExplanationList) []string {
	all := make([]string, len(l.Items))
	for n, x := range l.Items {
		all[n] = string(x.End)
	}
	return all
}
