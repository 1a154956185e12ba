package main

import (
	"context"
	"fmt"
	"html"
	"strings"
	"time"

	"astern.dev/astern/actions/slack/slacktest"
	"astern.dev/astern/examples/demo/rig"
)

const worst = 0.35 // the error ratio that fills a sparkline's cell

var cells = []rune("▁▂▃▄▅▆▇█")

// sparkline draws one cell for each second; a second without traffic is a gap.
func sparkline(seconds []rig.Count) string {
	var line strings.Builder
	for _, c := range seconds {
		if c.Answered == 0 {
			line.WriteRune(' ')
			continue
		}
		level := int(c.Ratio() / worst * float64(len(cells)))
		if c.Failed > 0 {
			level = max(level, 1)
		}
		line.WriteRune(cells[min(level, len(cells)-1)])
	}
	return line.String()
}

func bar(share float64, width int) string {
	full := int(share*float64(width) + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// gauge is the live line: the error rate of the last seconds, and who answers.
func gauge(s *screen, load *rig.Load) string {
	seconds := load.Seconds(24)
	if len(seconds) == 0 {
		return "errors"
	}
	last := seconds[len(seconds)-1]
	tone := green
	if last.Ratio() > 0.01 {
		tone = red
	}
	return fmt.Sprintf("errors %s %s   blue %s %3.0f %%   green %s %3.0f %%   %d/s",
		s.paint(tone, fmt.Sprintf("%-24s", sparkline(seconds))), s.paint(tone, fmt.Sprintf("%5.1f %%", 100*last.Ratio())),
		bar(last.Share("blue"), 8), 100*last.Share("blue"), bar(last.Share("green"), 8), 100*last.Share("green"), last.Answered)
}

// watchLoad paints the live line until the context ends.
func watchLoad(ctx context.Context, s *screen, load *rig.Load) {
	every := time.NewTicker(500 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			s.show(gauge(s, load))
		}
	}
}

// watchSlack shows the message that people get: when it comes, and how it reads in the end.
func watchSlack(ctx context.Context, s *screen, slack *slacktest.Server) {
	told := false
	for {
		changed := slack.Changed()
		if posted := slack.Posted(slacktest.Incident); len(posted) > 0 && !told {
			told = true
			s.tell(cyan, "#incidents", "%s", html.UnescapeString(posted[0].Text))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
