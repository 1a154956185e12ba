package scaffold

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/promql"
)

var (
	recordedRate = regexp.MustCompile(`:(requests?|.*_requests?)(_total)?:(rate|irate)|requests?_per_second|:requests?_rate`)
	counted      = regexp.MustCompile(`requests?_total$|requests?_count$|handled_total$`)
	failures     = regexp.MustCompile(`error|fail|drop|reject|retr|ratio`)
)

// findFloor looks for a series that counts requests of each target: a recorded rate, else a counter. It must carry the
// labels that choose a target, but for those that Prometheus adds.
func (d *Draft) findFloor(ctx context.Context, from *client.Prometheus, now time.Time) {
	var wanted, matchers []string
	for _, label := range d.Labels() {
		if _, external := d.External[label]; !external {
			wanted = append(wanted, quotedLabel(label)+`!=""`)
			matchers = append(matchers, fmt.Sprintf(`%s="${%s}"`, quotedLabel(label), d.stands[label]))
		}
	}
	if len(wanted) == 0 {
		return
	}
	selector := fmt.Sprintf(`{__name__=~".*(request|handled_total).*",%s}`, strings.Join(wanted, ","))
	names, err := from.MetricNames(ctx, selector, now.Add(-time.Hour), now, 1000)
	if err != nil {
		return
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, failures.MatchString)
	stands := strings.Join(matchers, ",")
	if i := slices.IndexFunc(names, recordedRate.MatchString); i >= 0 {
		d.Floor = "sum(" + selected(names[i], stands) + ")"
	} else if i := slices.IndexFunc(names, counted.MatchString); i >= 0 {
		d.Floor = "sum(rate(" + selected(names[i], stands) + "[5m]))"
	}
}

func selected(metric, matcher string) string {
	if plainMetric.MatchString(metric) {
		return metric + "{" + matcher + "}"
	}
	return fmt.Sprintf("{%q,%s}", inTemplate(metric), matcher)
}

var plainMetric = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)

// wantsFloor: one number that must be high says nothing of how much there was.
func (r *Rule) wantsFloor() bool {
	return len(r.Confirm) == 1 && strings.HasPrefix(r.Confirm[0].Holds, "value >")
}

// plain is a metric as it stands, such as a recording.
func plain(x parser.Expr) bool {
	_, ok := promql.Bare(x).(*parser.VectorSelector)
	return ok
}
