package ruletest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/simulate"
	"astern.dev/astern/engine/simulate/prom"
	"astern.dev/astern/rules/expr"
)

// play is one test under way.
type play struct {
	file  *File
	test  *Test
	world *simulate.World
	prom  *prom.Server
	route *route
	// dead is what the test says of the Watchdog; silent what Prometheus says, where its rules have one that ended.
	dead, silent bool

	seen  []expr.Vars // each alert that was delivered, for the coverage
	known map[string]bool
	unmet []Failure // wishes that were not answered as the test says
	looks map[time.Duration]look
	jumps []jumped
}

// look is how far things had come at a moment.
type look struct {
	versions map[string]int // by incident
	ledger   int64
}

func (f *File) play(ctx context.Context, t *Test, registry *actions.Registry) (*play, error) {
	p := &play{file: f, test: t, known: map[string]bool{}, looks: map[time.Duration]look{}}
	if err := p.build(ctx, registry); err != nil {
		return p, err
	}
	if err := p.begin(ctx); err != nil {
		return p, err
	}
	p.schedule(ctx)
	return p, p.run(ctx)
}

// now is virtual time; it stands until the world is there.
func (p *play) now() time.Time {
	if p.world == nil {
		return p.test.Start
	}
	return p.world.Now()
}

func (p *play) since() time.Duration             { return p.now().Sub(p.test.Start) }
func (p *play) moment(d time.Duration) time.Time { return p.test.Start.Add(d) }

// at puts an act on the agenda. The world's process may die in it, so it has the test's own context.
func (p *play) at(ctx context.Context, d time.Duration, do func(context.Context) error) {
	p.world.At(p.moment(d), func(context.Context) error { return do(ctx) })
}

func (p *play) build(ctx context.Context, registry *actions.Registry) error {
	p.prom = prom.New(prom.Options{Start: p.test.Start, Interval: p.file.Interval, Scrape: scrape(p.file.Interval), Now: func() time.Time { return p.now() }})
	for _, s := range p.test.Series {
		if err := p.prom.Load(s.Series, s.Values); err != nil {
			return err
		}
	}
	if err := p.prom.Rules(p.file.PrometheusRules); err != nil {
		return err
	}
	c := p.test.under(p.file.Configuration)
	var err error
	p.world, err = simulate.New(ctx, simulate.Options{
		Registry: registry, Rules: c.Rules, Book: c.Book, Settings: c.Settings, Digest: c.Digest, Start: p.test.Start,
		Prometheus: p.prom, Outcome: p.outcome, Telling: p.telling,
	})
	return err
}

// under is a configuration with the test's ceiling.
func (t *Test) under(c *engine.Configuration) *engine.Configuration {
	bent := *c
	if t.Ceiling != "" {
		bent.Settings.DefaultMode, bent.Settings.Modes = t.Ceiling, nil
	}
	return &bent
}

// scrape is how often Prometheus samples what stands still: so often that a proof finds no gap.
func scrape(interval time.Duration) time.Duration {
	for d := 15 * time.Second; d > time.Second; d -= time.Second {
		if interval%d == 0 {
			return d
		}
	}
	return time.Second
}

// begin is what lies before the test.
func (p *play) begin(ctx context.Context) error {
	if p.test.Armed {
		if err := p.world.Engine().Arm(ctx, engine.Person{Name: "on-call", Role: "admin", Via: "test"}, "the test says so"); err != nil {
			return err
		}
	}
	p.world.Watchdog(true)
	releases := slices.Clone(p.test.Releases)
	slices.SortStableFunc(releases, func(a, b Release) int { return cmp.Compare(a.At, b.At) })
	for _, r := range releases {
		if r.At > 0 {
			p.at(ctx, r.At, func(ctx context.Context) error { return p.released(ctx, r) })
			continue
		}
		if err := p.released(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) released(ctx context.Context, r Release) error {
	told := r.Told
	told.At = p.moment(r.At)
	if told.Verdict == "" {
		told.Verdict = incident.Unknown
	}
	tell := p.world.Engine().RecordRelease
	if r.Rolling {
		tell = p.world.Engine().BeginRelease
	}
	if err := tell(ctx, engine.Person{Name: "ci", Role: "operator", Via: "test"}, r.Target, told); err != nil {
		return fmt.Errorf("tell the release %s of %s: %w", told.Version, r.Target, err)
	}
	return nil
}

// run lets time pass from moment to moment that something is expected of, and looks at each.
func (p *play) run(ctx context.Context) error {
	var moments []time.Duration
	for _, e := range p.test.Expect {
		moments = append(moments, e.From, e.Until)
	}
	slices.Sort(moments)
	for _, d := range slices.Compact(moments) {
		if err := p.world.Run(ctx, p.moment(d)); err != nil {
			return err
		}
		l, err := p.look(ctx)
		if err != nil {
			return err
		}
		p.looks[d] = l
	}
	return nil
}

func (p *play) look(ctx context.Context) (look, error) {
	l := look{versions: map[string]int{}}
	heads, err := p.world.Engine().Incidents(ctx, incident.HeadFilter{Limit: everything})
	if err != nil {
		return l, err
	}
	for _, h := range heads {
		i, _, err := p.world.Engine().Incident(ctx, h.ID)
		if err != nil {
			return l, err
		}
		l.versions[h.ID] = i.Version
	}
	lines, err := p.world.Engine().Deliveries(ctx, 1)
	if err == nil && len(lines) > 0 {
		l.ledger = lines[0].ID
	}
	return l, err
}

const everything = 1 << 20

// close ends the world.
func (p *play) close(err error) error {
	if p.world == nil {
		return err
	}
	return errors.Join(err, p.world.Close())
}
