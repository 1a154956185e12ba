package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
)

const defaultPoll = 10 * time.Second

func (r *Revert) wait() time.Duration {
	if r.Wait > 0 {
		return time.Duration(r.Wait)
	}
	return defaultWait
}

// propose makes the pull request, or finds the one of an earlier attempt, and waits until it is merged.
func (r *Revert) propose(ctx context.Context, repo *repository.Repository, env actions.Env, u *undo) (actions.Result, error) {
	if err := r.branchOff(ctx, repo, env, u); err != nil {
		return actions.Result{}, err
	}
	if err := u.told(ctx, repo); err != nil {
		return actions.Result{}, err
	}
	pull, err := repo.Pulls().FindOrCreate(ctx, repository.PullRequest{Head: branchOf(env.Key), Base: u.branch, Title: r.title(u), Body: r.body(u, env)})
	if err != nil {
		return actions.Result{}, err
	}
	return r.await(ctx, repo, env, pull)
}

// branchOff puts the commit at a branch of its own, once. It is never moved afterwards: a person may have added to it.
func (r *Revert) branchOff(ctx context.Context, repo *repository.Repository, env actions.Env, u *undo) error {
	there, err := r.branchedOff(ctx, repo, env, u)
	if err != nil || there {
		return err
	}
	_, err = r.push(ctx, repo, env, u, branchOf(env.Key))
	switch {
	case errors.Is(err, repository.ErrMoved), errors.Is(err, repository.ErrUnknown):
		return errors.Join(errors.New("the branch for the pull request"), err) // harmless to repeat: it is looked for first
	case errors.Is(err, repository.ErrProtected):
		return actions.Permanent(fmt.Errorf("the branch for the pull request: %w", err))
	}
	return err
}

func (r *Revert) branchedOff(ctx context.Context, repo *repository.Repository, env actions.Env, u *undo) (bool, error) {
	name := branchOf(env.Key)
	there, err := repo.HasBranch(ctx, name)
	if err != nil || !there {
		return false, err
	}
	head, err := repo.Head(ctx, name)
	if err != nil {
		return false, err
	}
	own, err := repo.WithKey(ctx, u.base.Hash, head, trailerKey(env.Key))
	if err == nil && len(own) == 0 {
		err = actions.Permanent(fmt.Errorf("there is a branch %s that astern did not make: remove it", name))
	}
	return err == nil, err
}

func (r *Revert) body(u *undo, env actions.Env) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n\n", r.account(u), r.forWhom(env))
	for _, c := range u.changes[:min(len(u.changes), 50)] {
		fmt.Fprintf(&b, "    %s (+%d -%d)\n", line(c.Path), c.Added, c.Removed)
	}
	fmt.Fprintf(&b, "\nThe rollback waits for this to be merged. Closing it fails the step.\n\nAstern-Key: %s\nAstern-Incident: %s\n", trailerKey(env.Key), line(env.Incident))
	return b.String()
}

// await looks at the pull request until it is merged, closed, or its time is over.
func (r *Revert) await(ctx context.Context, repo *repository.Repository, env actions.Env, pull *repository.Pull) (actions.Result, error) {
	within, cancel := context.WithTimeout(ctx, r.wait())
	defer cancel()
	every := r.poll
	if every == 0 {
		every = defaultPoll
	}
	address := pull.URL
	for {
		switch pull.State {
		case "merged":
			return r.merged(ctx, repo, env, address)
		case "closed":
			return r.unmerged(address), actions.Permanent(fmt.Errorf("pull request %s was closed without being merged: a person decided against it", address))
		}
		tell(env, "waiting for "+address+" to be merged")
		err := pause(within, every)
		if err == nil {
			pull, err = r.again(within, repo, env, pull)
		}
		if err != nil && within.Err() != nil {
			return r.unmerged(address), r.late(ctx, address)
		}
		if err != nil {
			return r.unmerged(address), err
		}
	}
}

func (r *Revert) again(ctx context.Context, repo *repository.Repository, env actions.Env, pull *repository.Pull) (*repository.Pull, error) {
	now, err := repo.Pulls().Find(ctx, branchOf(env.Key), r.branch(repo))
	if now == nil && !actions.IsPermanent(err) {
		return pull, ctx.Err() // the API may be away, or behind, for a while
	}
	return now, err
}

// late: a pull request that nobody merged is no further attempt's business.
func (r *Revert) late(ctx context.Context, address string) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("wait for pull request %s: %w", address, ctx.Err())
	}
	return actions.Permanent(fmt.Errorf("pull request %s is not merged in time: nothing is undone on the branch until it is; merge it by hand", address))
}

// merged believes the branch, not the API: a merge queue makes other commits of the same content.
func (r *Revert) merged(ctx context.Context, repo *repository.Repository, env actions.Env, address string) (actions.Result, error) {
	u, err := r.look(ctx, repo, env)
	if err != nil {
		return r.unmerged(address), fmt.Errorf("pull request %s is merged: look for it: %w", address, err)
	}
	if u.done == nil && !u.nothing {
		return r.unmerged(address), fmt.Errorf("pull request %s is merged, and %s does not have it yet", address, u.branch)
	}
	return actions.Result{
		Summary: fmt.Sprintf("%s by pull request %s", u.outcome(), address),
		Outputs: RevertOutputs{Commit: u.head, PullRequest: address, Merged: true},
	}, nil
}

func (r *Revert) unmerged(address string) actions.Result {
	return actions.Result{Summary: "waits for pull request " + address, Outputs: RevertOutputs{PullRequest: address}}
}

// pending says what became of the pull request of this step, if there is one.
func (r *Revert) pending(ctx context.Context, repo *repository.Repository, env actions.Env, u *undo) error {
	notYet := actions.NotDone("%s does not have the revert of %s", u.branch, repository.Short(u.base.Hash))
	if repo.Pulls() == nil {
		return notYet
	}
	there, err := repo.HasBranch(ctx, branchOf(env.Key))
	switch {
	case err != nil:
		return err
	case !there:
		return notYet
	}
	pull, err := repo.Pulls().Find(ctx, branchOf(env.Key), u.branch)
	switch {
	case err != nil:
		return err
	case pull == nil:
		return notYet
	}
	return actions.NotDone("pull request %s is %s", pull.URL, pull.State)
}

func tell(env actions.Env, line string) {
	if env.Progress != nil {
		env.Progress(line)
	}
}
