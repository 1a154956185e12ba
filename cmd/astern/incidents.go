package main

import (
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

type incidentsFlags struct {
	target      string
	open, ended bool
	limit       int
}

func incidentsCommand(a *app) *cobra.Command {
	var f incidentsFlags
	c := &cobra.Command{
		Use: "incidents", Short: "List incidents, newest first, or show one", Args: noSuchCommand,
		Example: "  astern incidents --open\n  astern incidents show honeylink-api-1 --watch",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.incidents(cmd, f) },
	}
	c.Flags().StringVar(&f.target, "target", "", "of this target alone")
	c.Flags().BoolVar(&f.open, "open", false, "only those that have not ended")
	c.Flags().BoolVar(&f.ended, "ended", false, "only those that have ended")
	c.Flags().IntVar(&f.limit, "limit", 100, "at most this many")
	c.AddCommand(showCommand(a))
	return c
}

func (a *app) incidents(cmd *cobra.Command, f incidentsFlags) error {
	if f.open && f.ended {
		return usage("--open and --ended exclude each other")
	}
	if f.limit < 1 {
		return usage("--limit must be at least 1")
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	got, err := get[web.List[incident.Head]](cmd.Context(), c, apiPath("incidents"), f.query())
	if err != nil {
		return err
	}
	if a.output == asTable || a.output == asWide {
		a.noteIncidents(f, len(got.value.Items))
	}
	return show(a, got, headNames, a.headTable)
}

func (f incidentsFlags) query() url.Values {
	q := url.Values{"limit": {strconv.Itoa(f.limit)}}
	if f.target != "" {
		q.Set("target", f.target)
	}
	if f.open {
		q.Set("open", "true")
	}
	if f.ended {
		q.Set("ended", "true")
	}
	return q
}

// noteIncidents says what an empty or a full list hides.
func (a *app) noteIncidents(f incidentsFlags, shown int) {
	switch filtered := f.open || f.ended || f.target != ""; {
	case shown == f.limit:
		a.note("The newest %d are shown; --limit shows more.", shown)
	case shown == 0 && filtered:
		a.note("No incident fits --open, --ended or --target; without them all are shown.")
	case shown == 0:
		a.note("No incidents. `astern status` says whether alerts arrive and whether automation is armed.")
	}
}

func headNames(l web.List[incident.Head]) []string {
	names := make([]string, len(l.Items))
	for i, h := range l.Items {
		names[i] = h.ID
	}
	return names
}

func (a *app) headTable(w io.Writer, l web.List[incident.Head]) {
	heads := []string{"ID", "PHASE", "TARGET", "CHANGE", "RULE", "OPENED", "AGE", "NEXT"}
	if a.wide() {
		heads = append(heads, "ENVIRONMENT", "ENDED", "REASON")
	}
	g := a.grid(heads...)
	for _, h := range l.Items {
		cells := []string{visible(h.ID), a.phase(h.Phase), visible(h.Target), change(h.From, h.To), dash(h.Rule),
			stamp(h.OpenedAt), age(h.OpenedAt, a.now()), dash(h.Next)}
		if a.wide() {
			cells = append(cells, dash(h.Environment), stamp(h.EndedAt), dash(h.Reason))
		}
		g.row(cells...)
	}
	g.print(w, "")
}

func showCommand(a *app) *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use: "show ID", Short: "Show one incident: state, reasons, plan, notices and timeline", Args: cobra.ExactArgs(1),
		Long: "Show one incident: its state and the reason first, then why, the plan with what became of each step, who was told,\n" +
			"and the timeline. With --watch it follows the incident to its end: exit code 0 when it succeeded, 1 otherwise.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if f.watch {
				return a.watch(cmd.Context(), c, args[0], f)
			}
			got, err := get[web.IncidentAnswer](cmd.Context(), c, apiPath("incidents", args[0]), nil)
			if err != nil {
				return err
			}
			return show(a, got, func(i web.IncidentAnswer) []string { return []string{i.Incident.ID} },
				func(w io.Writer, i web.IncidentAnswer) { fmt.Fprint(w, a.incident(i, f.all)) })
		},
	}
	c.Flags().BoolVarP(&f.watch, "watch", "w", false, "follow it to its end")
	c.Flags().BoolVar(&f.all, "all", false, "every event of the timeline, those of the machinery, too")
	c.Flags().DurationVar(&f.timeout, "timeout", 0, "with --watch: give up after this long (exit code 5)")
	return c
}
