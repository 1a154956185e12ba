package main

import (
	"cmp"
	"context"
	"fmt"
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
	c.AddCommand(releaseBeginCommand(a), releaseRecordCommand(a), releaseAllowedCommand(a), releaseListCommand(a), releaseJudgeCommand(a), releaseDenyCommand(a))
	return c
}

func releaseBeginCommand(a *app) *cobra.Command {
	var t toldRelease
	c := &cobra.Command{
		Use: "begin TARGET --version VERSION", Short: "Tell that a rollout begins; CI calls it, and a version that is bad or denied is refused", Args: cobra.ExactArgs(1),
		Example: "  astern release begin honeylink-api --version v43 --digest sha256:…",
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.send(cmd.Context(), a, args[0], apiPath("releases", "begin"), "%s: the rollout of %s began.")
		},
	}
	t.flags(c, "when its rollout began")
	return c
}

func releaseRecordCommand(a *app) *cobra.Command {
	var t toldRelease
	c := &cobra.Command{
		Use: "record TARGET --version VERSION", Short: "Tell that a version's rollout ended; CI calls it", Args: cobra.ExactArgs(1),
		Example: "  astern release record honeylink-api --version v42 --commit 8841cafe --var track=green\n" +
			"  astern release record honeylink-api --version v41 --at -2d --verdict good --var track=blue",
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.send(cmd.Context(), a, args[0], apiPath("releases"), "%s: %s is recorded.")
		},
	}
	t.flags(c, "when its rollout ended")
	return c
}

// toldRelease is a release as flags tell it.
type toldRelease struct {
	release     web.ReleaseRequest
	at, verdict string
}

func (t *toldRelease) flags(c *cobra.Command, at string) {
	f, r := c.Flags(), &t.release
	f.StringVar(&r.Version, "version", "", "the version (required)")
	f.StringVar(&r.Commit, "commit", "", "the commit it was built from")
	f.StringVar(&r.Digest, "digest", "", "the digest of its image or artifact")
	f.StringVar(&t.at, "at", "", at+": a time such as 2026-11-22T14:02:00Z, or -20m; now when absent")
	f.StringVar(&t.verdict, "verdict", "", "good, bad, denied or unknown")
	f.StringVar(&r.Reason, "reason", "", "why that verdict")
	f.StringVar(&r.Schema, "schema", "", "the schema it needs")
	f.StringToStringVar(&r.Vars, "var", nil, "a value for procedures, NAME=VALUE; may stand several times")
}

func (t *toldRelease) send(ctx context.Context, a *app, target, path, done string) error {
	r := t.release
	if r.Version == "" {
		return usage("--version VERSION is needed")
	}
	var err error
	if r.At, err = a.moment(t.at); err != nil {
		return err
	}
	r.Target, r.Verdict = target, incident.Standing(t.verdict)
	return a.wish(ctx, path, r, r.Version, done, visible(r.Target), visible(r.Version))
}

func releaseAllowedCommand(a *app) *cobra.Command {
	var version, digest string
	c := &cobra.Command{
		Use: "allowed TARGET [--version VERSION] [--digest DIGEST]", Args: cobra.ExactArgs(1),
		Short:   "Ask whether a release may be rolled out: exit code 1 when it is bad or denied",
		Example: "  astern release allowed honeylink-api --version v42 --digest sha256:… && kubectl apply -k overlays/production",
		RunE: func(cmd *cobra.Command, args []string) error {
			if version == "" && digest == "" {
				return usage("--version VERSION or --digest DIGEST is needed")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			got, err := get[web.AllowedAnswer](cmd.Context(), c, apiPath("releases", "allowed"), url.Values{"target": args, "version": {version}, "digest": {digest}})
			if err != nil {
				return err
			}
			if err := show(a, got, func(web.AllowedAnswer) []string { return []string{cmp.Or(version, digest)} }, a.allowed); err != nil {
				return err
			}
			if !got.value.Allowed {
				return answeredNo
			}
			return nil
		},
	}
	c.Flags().StringVar(&version, "version", "", "the version")
	c.Flags().StringVar(&digest, "digest", "", "the digest of its image")
	return c
}

func (a *app) allowed(w io.Writer, answer web.AllowedAnswer) {
	name := visible(cmp.Or(answer.Version, answer.Digest))
	if answer.Allowed {
		fmt.Fprintf(w, "%s: %s may be rolled out.\n", visible(answer.Target), name)
		return
	}
	fmt.Fprintf(w, "%s: %s %s: %s\n", visible(answer.Target), name, a.paint(bad, "must not be rolled out"), visible(answer.Reason))
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
		cells := []string{visible(r.Version), stamp(r.At), age(r.At, a.now()), runs, a.paint(standings[r.Verdict], dash(string(r.Verdict))), dash(a.varsOf(r.Vars)), dash(r.By)}
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
