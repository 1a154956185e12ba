package incident

// nextNotices says what people are still owed. Each notice goes its own way: one that hangs delays no other.
func (i Incident) nextNotices() []Command {
	if i.Story > i.Owed {
		return []Command{Owe{i.Story}}
	}
	var next []Command
	for _, n := range i.Notices {
		next = append(next, i.nextOf(n)...)
	}
	return next
}

func (i Incident) nextOf(n Notice) []Command {
	if n.Told == 0 && n.OverdueAt.IsZero() && (n.GivenUp || !i.Now.Before(n.Due)) {
		return []Command{CallOverdue{n.ID}}
	}
	if n.GivenUp || n.Told >= i.Story || (n.Told > 0 && !n.Updates) {
		return nil
	}
	if i.Now.Before(n.RetryAt) {
		wakes := []Command{WakeAt{n.RetryAt, NoticeLane}}
		if n.Told == 0 && n.OverdueAt.IsZero() && n.Due.Before(n.RetryAt) {
			wakes = append(wakes, WakeAt{n.Due, NoticeLane})
		}
		return wakes
	}
	if n.Sending > 0 {
		return []Command{Send{n.ID, n.Sending, n.Attempt + 1, true}}
	}
	return []Command{Send{n.ID, i.Story, n.Attempt + 1, false}}
}
