// Package git undoes commits: git/revert takes back what a commit did, or puts paths back as they were, with a new commit on
// top. It never rewrites a branch. Of ours it imports actions and actions/repository, which runs git.
package git

import "astern.dev/astern/actions"

// Family brings git/revert. The connection kind "git" is actions/repository's.
func Family() actions.Family {
	return actions.Family{Actions: []actions.Entry{{New: func() actions.Action { return &Revert{} }, Example: revertExample}}}
}

const revertExample = `- name: revert
  uses: git/revert
  with:
    commit: "${release.current.commit}"
    pull_request: protected
  timeout: 35m
  retry: {attempts: 3, backoff: 5s}
`
