package repository

import "context"

// Ready says whether the repository can be read and written now: there is a git program, the server knows the credentials
// and lets them push, the branch is there, and the API knows its token. It fetches.
func (r *Repository) Ready(ctx context.Context, branch string) error {
	if err := r.version(ctx); err != nil {
		return err
	}
	if err := r.Fetch(ctx); err != nil {
		return err
	}
	if err := r.CanPush(ctx, branch); err != nil {
		return err
	}
	if r.pulls == nil {
		return nil
	}
	return r.pulls.Check(ctx)
}
