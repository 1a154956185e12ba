package git

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository/repositorytest"
)

// guarded is a scene whose branch main takes pull requests alone.
func guarded(t *testing.T, kind string) (*scene, *repositorytest.API) {
	s := newScene(t)
	s.Protect(t)
	return s, s.API(t, kind)
}

// pullEnv is one with a mirror of its own and the API.
func (s *scene) pullEnv(t *testing.T, api *repositorytest.API) actions.Env {
	c := s.Local(t)
	c.API = api.Config()
	return env(repositorytest.Open(t, c))
}

func quick(t *testing.T, parameters string) *Revert {
	r := decode(t, parameters)
	r.poll = time.Millisecond
	return r
}

func TestAProtectedBranchGetsAPullRequest(t *testing.T) {
	for _, kind := range []string{"github", "gitlab"} {
		for how, squash := range map[string]bool{"merged": false, "squashed without the trailer": true} {
			t.Run(kind+" "+how, func(t *testing.T) {
				s, api := guarded(t, kind)
				r, e := quick(t, `{commit: `+s.bad+`}`), s.pullEnv(t, api)
				var told []string
				e.Progress = func(line string) { told = append(told, line) }
				looks := 0
				api.WhenListed(func(a *repositorytest.API) {
					if looks++; looks == 5 {
						require.ErrorIs(t, decode(t, `{commit: `+s.bad+`}`).Verify(t.Context(), s.pullEnv(t, api)), actions.ErrNotDone)
						a.Merge(squash)
					}
				})
				did, err := run(t, r, e)
				require.NoError(t, err)
				require.Contains(t, s.Show(t, file), "image: api:2")
				require.Equal(t, 1, api.Created())
				address := "https://" + kind + ".example.org/team/config/pull/1"
				require.Equal(t, RevertOutputs{Commit: s.Server(t, "rev-parse", "main"), PullRequest: address, Merged: true}, outputs(t, did))
				require.Contains(t, told, "waiting for "+address+" to be merged")
				require.NoError(t, r.Verify(t.Context(), e))
				require.Contains(t, api.Body(), "Revert \"api 3\"")
				require.Contains(t, api.Body(), "This reverts commit "+s.bad)
				require.Contains(t, api.Body(), "Astern-Key: incident-1/step-2")
				_, err = run(t, quick(t, `{commit: `+s.bad+`}`), s.pullEnv(t, api))
				require.NoError(t, err)
				require.Equal(t, 1, api.Created())
			})
		}
	}
}

func TestAlwaysByPullRequest(t *testing.T) {
	s := newScene(t)
	api := s.API(t, "github")
	api.WhenListed(func(a *repositorytest.API) {
		if a.Open() {
			require.Equal(t, s.other, s.Server(t, "rev-parse", "main"))
			a.Merge(false)
		}
	})
	_, err := run(t, quick(t, `{commit: `+s.bad+`, pull_request: always}`), s.pullEnv(t, api))
	require.NoError(t, err)
	require.Equal(t, 1, api.Created())
}

// A crash, a lost answer or a second attempt: the branch and the pull request are found, not made again.
func TestOnePullRequestHoweverOftenItIsAsked(t *testing.T) {
	for _, kind := range []string{"github", "gitlab"} {
		t.Run(kind, func(t *testing.T) {
			s, api := guarded(t, kind)
			api.LoseAnswers = true
			ctx, cancel := context.WithCancel(t.Context())
			e := s.pullEnv(t, api)
			e.Progress = func(string) { cancel() }
			_, err := quick(t, `{commit: `+s.bad+`}`).Run(ctx, e)
			require.ErrorIs(t, err, context.Canceled)
			require.False(t, actions.IsPermanent(err))
			branch := s.Refs(t)
			again, stop := context.WithCancel(t.Context())
			e = s.pullEnv(t, api)
			e.Progress = func(string) { stop() }
			_, err = quick(t, `{commit: `+s.bad+`}`).Run(again, e)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, 1, api.Created())
			require.Equal(t, branch, s.Refs(t))
		})
	}
}

// The API is away while the pull request waits; a refusal ends the waiting.
func TestTheAPIIsAwayForAWhile(t *testing.T) {
	s, api := guarded(t, "github")
	e := s.pullEnv(t, api)
	waits := 0
	e.Progress = func(string) {
		switch waits++; waits {
		case 1:
			api.SetStatus(501)
		case 2:
			t.Error("it is asked again after a refusal")
		}
	}
	_, err := run(t, quick(t, `{commit: `+s.bad+`}`), e)
	require.ErrorContains(t, err, "the API answered 501")
	require.True(t, actions.IsPermanent(err))
	waits = 0
	api.SetStatus(0)
	e.Progress = func(string) {
		switch waits++; waits {
		case 1:
			api.SetStatus(503)
		case 2:
			api.SetStatus(0)
			api.Merge(false)
		}
	}
	_, err = run(t, quick(t, `{commit: `+s.bad+`}`), e)
	require.NoError(t, err)
}

func TestAPullRequestThatNobodyMerges(t *testing.T) {
	s, api := guarded(t, "github")
	did, err := run(t, quick(t, `{commit: `+s.bad+`, wait: 20ms}`), s.pullEnv(t, api))
	require.ErrorContains(t, err, "pull request https://github.example.org/team/config/pull/1 is not merged in time")
	require.True(t, actions.IsPermanent(err))
	require.False(t, actions.IsDoubtful(err))
	require.Equal(t, RevertOutputs{PullRequest: "https://github.example.org/team/config/pull/1"}, outputs(t, did))
	require.ErrorContains(t, decode(t, `{commit: `+s.bad+`}`).Verify(t.Context(), s.pullEnv(t, api)), "is open")
}

func TestAPullRequestThatAPersonClosed(t *testing.T) {
	s, api := guarded(t, "gitlab")
	e := s.pullEnv(t, api)
	e.Progress = func(string) {
		if api.Open() {
			api.CloseUnmerged()
		}
	}
	_, err := run(t, quick(t, `{commit: `+s.bad+`}`), e)
	require.ErrorContains(t, err, "closed without being merged")
	require.True(t, actions.IsPermanent(err))
	_, err = run(t, quick(t, `{commit: `+s.bad+`}`), e)
	require.ErrorContains(t, err, "closed without being merged")
	require.Equal(t, 1, api.Created(), "it is not opened against a person's will")
}

func TestProtectedAndNoOtherWay(t *testing.T) {
	s, api := guarded(t, "github")
	state := s.Refs(t)
	_, err := run(t, decode(t, `{commit: `+s.bad+`}`), s.env(t))
	require.ErrorContains(t, err, "no api to make a pull request with")
	require.ErrorContains(t, err, "pre-receive hook declined")
	require.True(t, actions.IsPermanent(err))
	_, err = run(t, decode(t, `{commit: `+s.bad+`, pull_request: never}`), s.pullEnv(t, api))
	require.ErrorContains(t, err, "pull_request: never")
	require.True(t, actions.IsPermanent(err))
	require.Equal(t, state, s.Refs(t))
	require.Zero(t, api.Created())
}

func TestABranchThatAsternDidNotMake(t *testing.T) {
	s, api := guarded(t, "github")
	e := s.pullEnv(t, api)
	s.Server(t, "update-ref", "refs/heads/"+branchOf(e.Key), s.good)
	_, err := run(t, quick(t, `{commit: `+s.bad+`}`), e)
	require.ErrorContains(t, err, "that astern did not make")
	require.True(t, actions.IsPermanent(err))
	require.Zero(t, api.Created())
}

func TestTheAPIRefuses(t *testing.T) {
	for status, permanent := range map[int]bool{401: true, 404: true, 503: false} {
		s, api := guarded(t, "github")
		api.SetStatus(status)
		_, err := run(t, quick(t, `{commit: `+s.bad+`}`), s.pullEnv(t, api))
		require.Error(t, err, "%d", status)
		require.Equal(t, permanent, actions.IsPermanent(err), "%d: %v", status, err)
		require.NotContains(t, err.Error(), repositorytest.Canary)
		require.True(t, strings.Contains(s.Refs(t), branchOf("incident-1/step-2")))
		api.SetStatus(0)
		api.WhenListed(func(a *repositorytest.API) {
			if a.Open() {
				a.Merge(false)
			}
		})
		_, err = run(t, quick(t, `{commit: `+s.bad+`}`), s.pullEnv(t, api))
		require.NoError(t, err, "%d: a later attempt goes on where it stopped", status)
	}
}
