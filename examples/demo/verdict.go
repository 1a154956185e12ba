package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"strings"
	"time"

	"astern.dev/astern/actions/slack/slacktest"
	"astern.dev/astern/examples/demo/rig"
)

// end proves what the story claims, prints the incident's own record, and says how to look further.
func end(ctx context.Context, s *screen, r *rig.Rig, id string, keep bool) error {
	inTime, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	record, err := r.Astern.Run(inTime, "incidents", "show", id)
	if record == "" {
		return err
	}
	s.close()
	s.head("The incident's own record: $ astern incidents show " + id)
	s.text(record)
	s.head("What was proven")
	if err := prove(inTime, s, r, id); err != nil {
		return withLog(err, r)
	}
	s.tell(cyan, "#incidents", "%s", html.UnescapeString(r.Slack.Posted(slacktest.Incident)[0].Text))
	further(s, r, id, keep)
	if keep {
		<-ctx.Done()
	}
	return nil
}

// prove holds the world, not astern's word, against what was promised.
func prove(ctx context.Context, s *screen, r *rig.Rig, id string) error {
	now, err := look(ctx, r.Astern, id, 0)
	if err != nil {
		return err
	}
	checks := []struct {
		claim string
		check func() error
	}{
		{"the incident succeeded", func() error { return succeeded(now) }},
		{"all traffic is answered by blue, without errors", func() error { return allBlue(ctx, r) }},
		{"no request reached green after the drain", func() error { return noneAfterDrain(now, r.Green) }},
		{"one message in #incidents, brought up to date to the end", func() error { return toldOnce(ctx, r.Slack, now) }},
	}
	var failed []error
	for _, c := range checks {
		if err := c.check(); err != nil {
			s.tell(red, "✗ no", "%s: %v", c.claim, err)
			failed = append(failed, fmt.Errorf("not so: %s: %w", c.claim, err))
			continue
		}
		s.tell(green, "✓ yes", "%s", c.claim)
	}
	return errors.Join(failed...)
}

func succeeded(now theIncident) error {
	if now.Phase != "succeeded" {
		return fmt.Errorf("it is %s: %s", now.Phase, now.Reason)
	}
	return nil
}

// allBlue looks at three whole seconds that begin after the incident's end.
func allBlue(ctx context.Context, r *rig.Rig) error {
	begin := r.Load.Total().Answered
	if err := rig.Await(ctx, "three more seconds of traffic", func(context.Context) (bool, error) {
		return r.Load.Total().Answered-begin > 4*perSecond, nil
	}); err != nil {
		return err
	}
	for _, second := range r.Load.Seconds(3) {
		if second.Share("blue") < 1 || second.Failed > 0 {
			return fmt.Errorf("blue answered %.0f %%, %d failed", 100*second.Share("blue"), second.Failed)
		}
	}
	return nil
}

func noneAfterDrain(now theIncident, bad *rig.Service) error {
	n := now.step("drain")
	if n < 0 || now.Steps[n].State != "done" {
		return errors.New("the drain is not done")
	}
	if _, last := bad.Arrivals(); last.After(now.Steps[n].EndedAt) {
		return fmt.Errorf("one arrived %s after it", last.Sub(now.Steps[n].EndedAt))
	}
	return nil
}

// toldOnce waits for the one message to say how it ended: messages have a lane of their own.
func toldOnce(ctx context.Context, slack *slacktest.Server, now theIncident) error {
	for {
		changed := slack.Changed()
		posted := slack.Posted(slacktest.Incident)
		if len(posted) > 1 {
			return fmt.Errorf("%d messages", len(posted))
		}
		if len(posted) == 1 && strings.Contains(posted[0].Text, strings.TrimRight(now.Reason, ".")) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("no message tells the end: %d posted, %d calls refused", len(posted), len(slack.Rejected()))
		}
	}
}

func further(s *screen, r *rig.Rig, id string, keep bool) {
	if !keep {
		s.head("Look further")
		s.text("make demo-keep               the same, left running, with every address\nexamples/demo/config         the rule, target and procedure you just saw\nexamples/honeylink           a whole policy\ndocs/operations.md           put it beside your own Alertmanager, in observe mode first")
		return
	}
	s.head("Still running; Ctrl-C takes everything down")
	lines := []string{
		"service       " + r.EntryURL(), "prometheus    " + r.Prometheus.URL + "/alerts", "alertmanager  " + r.Alertmanager.URL,
		"astern        " + r.Astern.URL, "files         " + r.Dir, "",
		"export ASTERN_SERVER=" + r.Astern.URL + " ASTERN_TOKEN_FILE=" + r.Dir + "/on-call.token",
		"bin/astern incidents show " + id,
		"bin/astern targets",
		"bin/astern status",
	}
	s.text(strings.Join(lines, "\n"))
}
