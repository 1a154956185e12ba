package rig

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func readFile(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func shell(t *testing.T, script string) *Process {
	sh, err := exec.LookPath("sh")
	require.NoError(t, err)
	p, err := Start(Command{Name: "script", Path: sh, Args: []string{"-c", script}, Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	return p
}

func TestAProcessTellsItsAddressAndHowItEnded(t *testing.T) {
	p := shell(t, `echo 'level=info msg="Start listening for connections" address=127.0.0.1:0'
echo 'level=info msg="Listening on" address=127.0.0.1:4711'; echo the end; exit 3`)
	address, err := p.Address(t.Context())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:4711", address)
	<-p.Done()
	require.ErrorContains(t, p.Ended(), "exit status 3")
	require.ErrorContains(t, p.Ended(), "the end")
	require.Contains(t, readFile(t, p.Log), "4711")
}

func TestAProcessThatDiesBeforeItListensIsAnError(t *testing.T) {
	p := shell(t, "echo bad flag >&2; exit 2")
	_, err := p.Address(t.Context())
	require.ErrorContains(t, err, "bad flag")
	require.ErrorIs(t, ready(t.Context(), p, "http://127.0.0.1:1"), ErrEnded)
}

func TestStopEndsTheChildrenToo(t *testing.T) {
	p := shell(t, `sleep 1000 & echo "listening 127.0.0.1:$!"; wait`)
	address, err := p.Address(t.Context())
	require.NoError(t, err)
	child := address[strings.Index(address, ":")+1:]
	p.Stop()
	require.NoError(t, Await(t.Context(), "the child's end", func(context.Context) (bool, error) {
		status, err := os.ReadFile("/proc/" + child + "/stat")
		return err != nil || strings.Contains(string(status), ") Z "), nil
	}))
	require.Error(t, p.Ended())
}

func TestTheProxySteersAndTellsWhenATrackIsIdle(t *testing.T) {
	blue, err := StartService("blue", "v41")
	require.NoError(t, err)
	defer func() { _ = blue.Stop() }()
	green, err := StartService("green", "v42")
	require.NoError(t, err)
	defer func() { _ = green.Stop() }()
	p, err := StartProxy(blue, green)
	require.NoError(t, err)
	defer func() { _ = p.Stop() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	get := func() string {
		response, err := http.Get(p.URL)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.Header.Get("X-Track")
	}
	steer := func(body string) error {
		return call(ctx, request{method: http.MethodPut, url: p.AdminURL + "/traffic", body: body}, nil)
	}
	for range 20 {
		require.Equal(t, "green", get())
	}
	for body, want := range map[string]string{`{"to":"red"}`: "no track", `{"weight":1}`: "unknown field", `{`: "EOF"} {
		require.ErrorContains(t, steer(body), want)
	}
	require.ErrorContains(t, getJSON(ctx, p.AdminURL+"/idle/green", nil), "traffic goes there: true")
	require.NoError(t, steer(`{"to":"blue"}`))
	for range 20 {
		require.Equal(t, "blue", get())
	}
	require.NoError(t, getJSON(ctx, p.AdminURL+"/idle/green", nil))
	count, last := green.Arrivals()
	require.Equal(t, 20, count)
	require.False(t, last.IsZero())
}

func TestTheLoadCountsFailuresAndTracks(t *testing.T) {
	green, err := StartService("green", "v42")
	require.NoError(t, err)
	defer func() { _ = green.Stop() }()
	green.Fail(1)
	load := StartLoad(green.URL, 200)
	defer load.Stop()
	require.NoError(t, Await(t.Context(), "a second of load", func(context.Context) (bool, error) {
		return len(load.Seconds(2)) > 0, nil
	}))
	require.InDelta(t, 1, load.Seconds(1)[0].Ratio(), 0)
	require.InDelta(t, 1, load.Total().Share("green"), 0)
}
