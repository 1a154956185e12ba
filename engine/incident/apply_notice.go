package incident

import (
	"slices"
	"time"
)

func (i *Incident) applyNotice(e Event) {
	switch f := e.Fact.(type) {
	case NoticesOwed:
		i.noticesOwed(f, e)
	case NoticeBegan:
		if n := i.notice(f.ID); n != nil && f.Story > n.Told {
			n.Sending, n.Attempt = f.Story, f.Attempt
			if n.BeganAt.IsZero() {
				n.BeganAt = e.At
			}
		}
	case NoticeTold:
		if n := i.notice(f.ID); n != nil && f.Story > n.Told {
			n.told(f, e.At)
		}
	case NoticeErred:
		if n := i.notice(f.ID); n != nil && f.Story > n.Told {
			n.erred(f)
		}
	case NoticeOverdue:
		if n := i.notice(f.ID); n != nil && n.OverdueAt.IsZero() && n.Told == 0 {
			n.OverdueAt = e.At
			i.tell(e.At, true, "the notice to %s by %s is overdue: %s", n.To, n.Via, firstOf(n.Error, "it could not be sent in time"))
		}
	}
}

func (i *Incident) noticesOwed(f NoticesOwed, e Event) {
	i.Owed = max(i.Owed, f.Story)
	for _, o := range f.Notices {
		if i.notice(o.ID) != nil {
			continue
		}
		i.Notices = append(i.Notices, Notice{
			ID: o.ID, To: o.To, Via: o.Via, With: o.With, Updates: o.Updates,
			OwedAt: e.At, Due: o.Due, EscalationOf: o.EscalationOf,
		})
	}
}

func (i *Incident) notice(id string) *Notice {
	n := slices.IndexFunc(i.Notices, func(n Notice) bool { return n.ID == id })
	if n < 0 {
		return nil
	}
	return &i.Notices[n]
}

func (n *Notice) told(f NoticeTold, at time.Time) {
	n.Told, n.ToldAt, n.Sending, n.Attempt, n.Error = f.Story, at, 0, 0, ""
	n.RetryAt, n.BeganAt = time.Time{}, time.Time{}
	if n.FirstAt.IsZero() {
		n.FirstAt = at
	}
	if f.Ref != "" {
		n.Ref = f.Ref
	}
}

// erred keeps an unproven telling in doubt. What is refused for good is given up when it was the first message, and
// passed over when it was only an update.
func (n *Notice) erred(f NoticeErred) {
	n.Error, n.RetryAt = f.Error, f.RetryAt
	switch {
	case f.Permanent && n.Told == 0:
		n.GivenUp, n.Sending = true, 0
	case f.Permanent:
		n.Told, n.Sending, n.Attempt = f.Story, 0, 0
		n.RetryAt, n.BeganAt = time.Time{}, time.Time{}
	}
}
