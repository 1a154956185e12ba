package main

import (
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func releaseCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use: "release", Short: "Tell what was deployed when, list it, judge it, or deny it", Args: noSuchCommand, RunE: help,
	}
	c.AddCommand(releaseRecordCommand(a), releaseListCommand(a), releaseJudgeCommand(a), releaseDenyCommand(a))
	return c
}

func releaseRecordCommand(a *app) *cobra.Command {
	var r web.ReleaseRequest
	var at, verdict string
	c := &cobra.Command{
		Use: "record TARGET --version VERSION", Short: "Tell that a version's rollout ended; CI calls it", Args: cobra.ExactArgs(1),
		Example: "  astern release record honeylink-api --version v42 --commit 8841cafe --var track=green\n" +
			"  astern release record honeylink-api --version v41 --at -2d --verdict good --var track=blue",
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.Version == "" {
				return usage("--version VERSION is needed")
			}
			var err error
			if r.At, err = a.moment(at); err != nil {
				return err
			}
			r.Target, r.Verdict = args[0], incident.Standing(verdict)
			return a.wish(cmd.Context(), apiPath("releases"), r, r.Version, "%s: %s is recorded.", visible(r.Target), visible(r.Version))
		},
	}
	f := c.Flags()
	f.StringVar(&r.Version, "version", "", "the version (required)")
	f.StringVar(&r.Commit, "commit", "", "the commit it was built from")
	f.StringVar(&r.Digest, "digest", "", "the digest of its image or artifact")
	f.StringVar(&at, "at", "", "when its rollout ended: a time such as 2026-11-22T14:02:00Z, or -20m; now when absent")
	f.StringVar(&verdict, "verdict", "", "good, bad, denied or unknown")
	f.StringVar(&r.Reason, "reason", "", "why that verdict")
	f.StringVar(&r.Schema, "schema", "", "the schema it needs")
	f.StringToStringVar(&r.Vars, "var", nil, "a value for procedures, NAME=VALUE; may stand several times")
	return c
}

// moment reads a time, or how long ago; nothing is nothing.
func (a *app) moment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if past, is := strings.CutPrefix(s, "-"); is {
		d, err := actions.ParseDuration(past)
		if err != nil {
			return time.Time{}, usage("--at: %s", err)
		}
		return a.now().Add(-d).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, usage("--at: %q is not a time such as 2026-11-22T14:02:00Z, nor one such as -20m", s)
	}
	return at.UTC(), nil
}

func releaseListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list [TARGET]", Short: "List the releases that were told, newest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			query := url.Values{}
			if len(args) == 1 {
				query.Set("target", args[0])
			}
			got, err := get[web.List[web.Release]](cmd.Context(), c, apiPath("releases"), query)
			if err != nil {
				return err
			}
			return show(a, got, releaseNames, func(w io.Writer, l web.List[web.Release]) { a.releaseTable(w, l.Items, true) })
		},
	}
}

func releaseNames(l web.List[web.Release]) []string {
	names := make([]string, len(l.Items))
	for i, r := range l.Items {
		names[i] = r.Target + "/" + r.Release.Version
	}
	return names
}

var standings = map[incident.Standing]tone{incident.Good: good, incident.Bad: bad, incident.Denied: bad}

func (a *app) releaseTable(w io.Writer, all []web.Release, targets bool) {
	heads := []string{"VERSION", "SINCE", "AGE", "RUNS", "VERDICT", "VARS", "TOLD BY"}
	if targets {
		heads = append([]string{"TARGET"}, heads...)
	}
	if a.wide() {
		heads = append(heads, "COMMIT", "DIGEST", "SCHEMA", "REASON")
	}
	g := a.grid(heads...)
	for _, item := range all {
		r, runs := item.Release, ""
		if item.Current {
			runs = "now"
		}
		cells := []string{visible(r.Version), stamp(r.At), age(r.At, a.now()), runs, a.paint(standings[r.Verdict], dash(string(r.Verdict))), dash(varsOf(r.Vars)), dash(r.By)}
		if targets {
			cells = append([]string{visible(item.Target)}, cells...)
		}
		if a.wide() {
			cells = append(cells, dash(r.Commit), dash(r.Digest), dash(r.Schema), dash(r.Reason))
		}
		g.row(cells...)
	}
	g.print(w, "")
}

func releaseJudgeCommand(a *app) *cobra.Command {
	var r web.JudgeRequest
	var verdict string
	c := &cobra.Command{
		Use: "judge TARGET VERSION --verdict VERDICT", Short: "Change the verdict on a version", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch r.Target, r.Version, r.Verdict = args[0], args[1], incident.Standing(verdict); r.Verdict {
			case incident.Good, incident.Bad, incident.Unknown:
			case incident.Denied:
				return usageHint("astern release deny "+r.Target+" "+r.Version+" --reason WHY", "to deny a version has a command of its own")
			default:
				return usage("--verdict: want good, bad or unknown, not %q", verdict)
			}
			return a.wish(cmd.Context(), apiPath("releases", "judge"), r, r.Version, "%s: %s is %s now.", visible(r.Target), visible(r.Version), r.Verdict)
		},
	}
	c.Flags().StringVar(&verdict, "verdict", "", "good, bad or unknown (required)")
	c.Flags().StringVar(&r.Reason, "reason", "", "why; the next person reads it")
	return c
}

func releaseDenyCommand(a *app) *cobra.Command {
	r := web.JudgeRequest{Verdict: incident.Denied}
	c := &cobra.Command{
		Use: "deny TARGET VERSION --reason WHY", Short: "Never roll back to a version: vulnerable, leaked or withdrawn", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Target, r.Version = args[0], args[1]
			if err := wantReason(r.Reason); err != nil {
				return err
			}
			return a.wish(cmd.Context(), apiPath("releases", "judge"), r, r.Version, "%s: %s is denied; nothing rolls back to it.", visible(r.Target), visible(r.Version))
		},
	}
	c.Flags().StringVar(&r.Reason, "reason", "", "why; the next person reads it (required)")
	return c
}
