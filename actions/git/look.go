package git

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
)

// undo is what there is to undo on a branch, as the server has it now.
type undo struct {
	branch, head string
	// base is the bad commit, or the good one of restore.
	base repository.Commit
	// tree is what the branch is to have.
	tree    string
	changes []repository.FileChange
	// later commits touch the same files: kept by a revert, undone by restore.
	later []repository.Commit
	// done is the commit that has it undone: astern's own by its key.
	done *repository.Commit
	// nothing says that the branch has nothing of it any more.
	nothing bool
	restore bool
	found   string
}

// look fetches and computes. It refuses what must not be undone by itself.
func (r *Revert) look(ctx context.Context, repo *repository.Repository, env actions.Env) (*undo, error) {
	if err := repo.Fetch(ctx); err != nil {
		return nil, err
	}
	u := &undo{branch: r.branch(repo), restore: r.Restore != nil}
	if err := r.locate(ctx, repo, u); err != nil {
		return nil, err
	}
	own, err := repo.WithKey(ctx, u.base.Hash, u.head, trailerKey(env.Key))
	if err != nil {
		return nil, err
	}
	if len(own) > 0 {
		return u, u.already(ctx, repo, own[len(own)-1])
	}
	return u, r.compute(ctx, repo, u)
}

// locate finds the branch and the commit, which must be of its history.
func (r *Revert) locate(ctx context.Context, repo *repository.Repository, u *undo) error {
	head, err := repo.Head(ctx, u.branch)
	if err != nil {
		return err
	}
	hash, err := repo.Resolve(ctx, r.base())
	if err != nil {
		return err
	}
	part, err := repo.Contains(ctx, head, hash)
	if err != nil {
		return err
	}
	if !part {
		return actions.Permanent(fmt.Errorf("commit %s is not part of branch %s: there is nothing of it to undo", repository.Short(hash), u.branch))
	}
	u.head = head
	u.base, err = repo.Commit(ctx, hash)
	return err
}

// already takes the change from the commit that made it, so that it is found the same as before.
func (u *undo) already(ctx context.Context, repo *repository.Repository, own repository.Commit) error {
	if len(own.Parents) == 0 {
		return actions.Permanent(fmt.Errorf("commit %s has no parent", repository.Short(own.Hash)))
	}
	changes, err := repo.Diff(ctx, own.Parents[0], own.Hash)
	u.done, u.changes = &own, changes
	u.found = u.digest()
	return err
}

func (r *Revert) compute(ctx context.Context, repo *repository.Repository, u *undo) error {
	tree, err := r.tree(ctx, repo, u)
	if err != nil {
		return err
	}
	if u.changes, err = repo.Diff(ctx, u.head, tree); err != nil {
		return err
	}
	u.tree, u.nothing, u.found = tree, len(u.changes) == 0, u.digest()
	if u.nothing {
		return nil
	}
	return r.guard(ctx, repo, u)
}

// since finds the commits after base that touch the same files.
func (u *undo) since(ctx context.Context, repo *repository.Repository) (err error) {
	if len(u.changes) > 0 && u.done == nil && u.later == nil {
		u.later, err = repo.Log(ctx, u.base.Hash, u.head, u.paths()...)
	}
	return err
}

func (r *Revert) tree(ctx context.Context, repo *repository.Repository, u *undo) (string, error) {
	if u.restore {
		return repo.Restored(ctx, u.head, u.base.Hash, r.Restore.Paths)
	}
	if err := r.checkCommit(u.base); err != nil {
		return "", actions.Permanent(err)
	}
	tree, err := repo.Inverse(ctx, u.head, u.base.Hash, r.mainline())
	var conflict *repository.ConflictError
	if !errors.As(err, &conflict) {
		return tree, err
	}
	return "", r.explain(ctx, repo, u, conflict)
}

func (r *Revert) checkCommit(c repository.Commit) error {
	short := repository.Short(c.Hash)
	switch {
	case c.Key != "":
		return fmt.Errorf("commit %s is a revert that astern made: it is not reverted by itself; a person decides", short)
	case len(c.Parents) == 0:
		return fmt.Errorf("commit %s is the first of its history: there is nothing before it", short)
	case r.mainline() > len(c.Parents):
		return fmt.Errorf("commit %s has %s, mainline names number %d", short, plural(len(c.Parents), "parent", "parents"), r.mainline())
	}
	return nil
}

// explain names the files of a conflict and who changed them since.
func (r *Revert) explain(ctx context.Context, repo *repository.Repository, u *undo, conflict *repository.ConflictError) error {
	var since []string
	if later, err := repo.Log(ctx, u.base.Hash, u.head, conflict.Files...); err == nil {
		for _, c := range later {
			since = append(since, fmt.Sprintf("%s %q", repository.Short(c.Hash), c.Subject))
		}
	}
	why := ""
	if len(since) > 0 {
		why = "; changed since by " + joined(since, 5)
	}
	return actions.Permanent(fmt.Errorf("commit %s cannot be reverted on %s: %w%s; revert what came later first, or use restore with the good commit",
		repository.Short(u.base.Hash), u.branch, conflict, why))
}

func (u *undo) paths() []string {
	var all []string
	for _, c := range u.changes {
		all = append(all, c.Path)
	}
	return all
}

// digest is of the change itself: the files, their lines and what stands around these, wherever in the file that is. Other
// people's pushes leave it as it is.
func (u *undo) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q undoes %q\n", u.branch, u.base.Hash)
	slices.SortFunc(u.changes, func(a, b repository.FileChange) int { return compare(a.Path, b.Path) })
	for _, c := range u.changes {
		fmt.Fprintf(h, "%q %s %s %d\n", c.Path, c.OldMode, c.NewMode, len(c.Patch))
		if len(c.Patch) == 0 {
			fmt.Fprintf(h, "%s %s\n", c.Old, c.New)
		}
		for _, line := range c.Patch {
			fmt.Fprintf(h, "%q\n", line)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
