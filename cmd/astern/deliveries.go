package main

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

func deliveriesCommand(a *app) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "deliveries", Short: "List what senders delivered, newest first, and what it came to", Args: noSuchCommand,
		Long: "List the ledger of deliveries, newest first: one line for each notification that was taken in, how many alerts it held,\n" +
			"and what they came to: opened an incident, joined or repeated one, ended, unmatched, and so on. CONFIG is the digest\n" +
			"of the configuration that they were judged by. -o json has the decision for each alert, with its labels and the reason.",
		Example: "  astern deliveries --limit 20\n  astern deliveries -o wide",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.deliveries(cmd, limit) },
	}
	c.Flags().IntVar(&limit, "limit", 100, "at most this many")
	return c
}

func (a *app) deliveries(cmd *cobra.Command, limit int) error {
	if limit < 1 {
		return usage("--limit must be at least 1")
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	got, err := get[web.List[incident.Delivery]](cmd.Context(), c, apiPath("deliveries"), url.Values{"limit": {strconv.Itoa(limit)}})
	if err != nil {
		return err
	}
	if a.output == asTable || a.output == asWide {
		a.noteDeliveries(limit, len(got.value.Items))
	}
	return show(a, got, deliveryNames, a.deliveryTable)
}

// noteDeliveries says what an empty or a full list hides.
func (a *app) noteDeliveries(limit, shown int) {
	switch shown {
	case limit:
		a.note("The newest %d are shown; --limit shows more.", shown)
	case 0:
		a.note("No deliveries: no sender has knocked yet. `astern status` says what is known of each.")
	}
}

func deliveryNames(l web.List[incident.Delivery]) []string {
	names := make([]string, len(l.Items))
	for i, d := range l.Items {
		names[i] = strconv.FormatInt(d.ID, 10)
	}
	return names
}

func (a *app) deliveryTable(w io.Writer, l web.List[incident.Delivery]) {
	heads := []string{"TIME", "AGE", "SOURCE", "STATUS", "ALERTS", "CAME TO", "INCIDENTS", "CONFIG"}
	if a.wide() {
		heads = append(heads, "ID", "RECEIVER", "GROUP", "REASON")
	}
	g := a.grid(heads...)
	for _, d := range l.Items {
		cells := []string{stamp(d.At), age(d.At, a.now()), dash(d.Source), dash(d.Status), alertCount(d), cameTo(d),
			dash(strings.Join(incidentsOf(d), ",")), dash(incident.Short(d.Config))}
		if a.wide() {
			cells = append(cells, strconv.FormatInt(d.ID, 10), dash(d.Receiver), dash(d.GroupKey), dash(firstReason(d)))
		}
		g.row(cells...)
	}
	g.print(w, "")
}

// alertCount is how many alerts came, and how many the sender left out.
func alertCount(d incident.Delivery) string {
	if d.Truncated > 0 {
		return fmt.Sprintf("%d (%d cut off)", d.Alerts, d.Truncated)
	}
	return strconv.Itoa(d.Alerts)
}

// cameTo counts the decisions by kind, most first.
func cameTo(d incident.Delivery) string {
	kinds := slices.SortedFunc(maps.Keys(d.Counts), func(x, y string) int {
		if d.Counts[x] != d.Counts[y] {
			return d.Counts[y] - d.Counts[x]
		}
		return strings.Compare(x, y)
	})
	parts := make([]string, len(kinds))
	for i, kind := range kinds {
		parts[i] = fmt.Sprintf("%d %s", d.Counts[kind], visible(strings.ReplaceAll(kind, "_", " ")))
	}
	return dash(strings.Join(parts, ", "))
}

// incidentsOf are the incidents that its alerts reached, in their order.
func incidentsOf(d incident.Delivery) (ids []string) {
	for _, decision := range d.Decisions {
		if decision.Incident != "" && !slices.Contains(ids, decision.Incident) {
			ids = append(ids, decision.Incident)
		}
	}
	return ids
}

func firstReason(d incident.Delivery) string {
	for _, decision := range d.Decisions {
		if decision.Reason != "" {
			return decision.Reason
		}
	}
	return ""
}
