//go:build e2e

package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

// kill -9 between the two stages and again right after the switch: it finishes from where it was, nothing is done twice,
// nobody is told twice, and users notice none of it.
func killedInTheMiddle(w *world) {
	w.begin(staged)
	w.heard()
	w.Green.Fail(0.25)
	id := w.opened()
	for _, rest := range []string{"first_rest", "second_rest"} {
		w.inStep(id, rest)
		w.Astern.Kill()
		require.NoError(w.t, w.Astern.Restart(w.ctx))
	}
	now := w.succeeded(id)
	for _, changing := range []string{"share_traffic", "switch_traffic", "drain"} {
		require.Equal(w.t, 1, count(now, "StepBegan", stepNumber(now.Incident, changing)), changing)
	}
	require.Equal(w.t, 2, stepOf(now.Incident, "first_rest").Attempt, "a step that only looks runs again")
	w.weights("100", "0")
	w.onlyOne(id)
}

// diskFull fills the file system that the history is on.
func diskFull(w *world) {
	dir := filepath.Join(w.Dir, "disk")
	require.NoError(w.t, os.Mkdir(dir, 0o700))
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m")
	if errors.Is(err, unix.EPERM) {
		w.t.Log("a file system of its own needs root: FileSizeLimit shows the same without")
		return
	}
	require.NoError(w.t, err)
	defer func() {
		w.Astern.Stop()
		require.NoError(w.t, unix.Unmount(dir, unix.MNT_DETACH))
	}()
	w.AsternArgs = []string{"--storage.url=sqlite:" + filepath.Join(dir, "astern.db")}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(w.t, err)
	defer filler.Close()
	w.full("disk is full", func() {
		block := make([]byte, 4096)
		for err = error(nil); err == nil; {
			_, err = filler.Write(block)
		}
		require.ErrorIs(w.t, err, unix.ENOSPC)
	}, func() { require.NoError(w.t, filler.Truncate(0)) })
}

// fileSizeLimit lets no file of astern grow: the kernel refuses its writes.
func fileSizeLimit(w *world) {
	var before unix.Rlimit
	limit := func(to uint64) {
		require.NoError(w.t, unix.Prlimit(w.Astern.Pid(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: to, Max: before.Max}, nil))
	}
	w.full("disk I/O error", func() {
		require.NoError(w.t, unix.Prlimit(w.Astern.Pid(), unix.RLIMIT_FSIZE, nil, &before))
		wal, err := os.Stat(filepath.Join(w.Dir, "astern.db-wal"))
		require.NoError(w.t, err)
		limit(uint64(wal.Size()))
	}, func() { limit(before.Cur) })
}

// full lets no space be left before the alert fires: what cannot be kept is answered 503, so that Alertmanager comes again;
// readiness says why; what was acknowledged stays; and with space it goes on without a restart.
func (w *world) full(says string, fill, free func()) {
	w.begin()
	w.heard()
	acknowledged := []string{}
	send := func(ctx context.Context) int {
		name := fmt.Sprintf("Filler%d", len(acknowledged))
		status := w.deliver(ctx, name)
		if status == http.StatusOK {
			acknowledged = append(acknowledged, name)
		}
		return status
	}
	require.Equal(w.t, http.StatusOK, send(w.ctx))
	fill()
	w.until("the door to answer 503", func(ctx context.Context) (bool, error) {
		status := send(ctx)
		for status == http.StatusOK {
			status = send(ctx)
		}
		return status == http.StatusServiceUnavailable, nil
	})
	w.until("readiness to say so", func(ctx context.Context) (bool, error) {
		status, text, err := w.ask(ctx, "/-/ready")
		return status == http.StatusServiceUnavailable && strings.Contains(text, says), err
	})
	w.Green.Fail(0.25)
	w.until("the alert", func(ctx context.Context) (bool, error) { return w.firing(ctx) })
	before := w.turnedAway()
	w.until("Alertmanager to be turned away", func(context.Context) (bool, error) { return w.turnedAway() > before, nil })
	require.NoError(w.t, w.Astern.Ended())
	w.untouched()
	free()

	id := w.opened()
	w.succeeded(id)
	w.onlyOne(id)
	status, _, err := w.ask(w.ctx, "/-/ready")
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, status)
	w.stored(acknowledged)
}

// firing says whether Alertmanager has the alert.
func (w *world) firing(ctx context.Context) (bool, error) {
	to, err := w.Alertmanager.Receivers(ctx)
	return len(to["ErrorRateSpike"]) > 0, err
}

// turnedAway is how many notifications were answered 503.
func (w *world) turnedAway() (n int) {
	_, text, err := w.ask(w.ctx, "/metrics")
	require.NoError(w.t, err)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "astern_") && strings.Contains(line, `result="unavailable"`) {
			_, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n)
			require.NoError(w.t, err)
		}
	}
	return n
}

// deliver knocks at the door as Alertmanager does, and gives the status of the answer.
func (w *world) deliver(ctx context.Context, name string) int {
	body := strings.Replace(notification(name, "elsewhere"), `"annotations":{}`, `"annotations":{"filler":"`+strings.Repeat("x", 8000)+`"}`, 1)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.Astern.URL+"/api/v1/alertmanager", strings.NewReader(body))
	require.NoError(w.t, err)
	token, err := os.ReadFile(w.Addresses.SenderTokenFile)
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(w.t, err)
	return response.StatusCode
}

// stored shows that all that was acknowledged is in the ledger, even after the process was killed and started again.
func (w *world) stored(names []string) {
	w.Astern.Kill()
	require.NoError(w.t, w.Astern.Restart(w.ctx))
	var ledger web.List[incident.Delivery]
	require.NoError(w.t, w.Astern.Get(w.ctx, "/api/v1/deliveries?limit=10000", &ledger))
	kept := map[string]bool{}
	for _, d := range ledger.Items {
		for _, c := range d.Decisions {
			kept[c.Labels["alertname"]] = true
		}
	}
	for _, name := range names {
		require.True(w.t, kept[name], "%s was acknowledged and is lost", name)
	}
}
