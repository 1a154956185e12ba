package neighbours

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// version is major, minor, patch.
type version [3]int

var versionText = regexp.MustCompile(`(?:[vV]ersion:?\s+|Kubernetes |nftables |iproute2-|GitVersion:"|Version:"|OpenSSH_)v?(\d+)\.(\d+)[.p](\d+)`)

// parseVersion reads the first "version 1.2.3" of what a program prints about itself, or how the others say it.
func parseVersion(printed string) (version, string, bool) {
	m := versionText.FindStringSubmatch(printed)
	if m == nil {
		return version{}, "", false
	}
	var v version
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1])
	}
	return v, m[1] + "." + m[2] + "." + m[3], true
}

func (v version) atLeast(least version) bool { return slices.Compare(v[:], least[:]) >= 0 }

// onPath looks for the program on PATH and asks its version. Prometheus must be 2.43 or newer: older ones ignore
// lookback_delta, without which a gap in a series cannot be told from a value. Alertmanager must be 0.28 or newer: older
// ones refuse the webhook timeout that astern's route sets.
func onPath(ctx context.Context, r recipe) (Neighbour, bool) {
	path, err := exec.LookPath(r.name)
	if err != nil {
		return Neighbour{}, false
	}
	if path, err = filepath.Abs(path); err != nil {
		return Neighbour{}, false
	}
	v, text, ok := askVersion(ctx, path, r.args)
	return Neighbour{Name: r.name, Version: text, Path: path, From: "PATH"}, ok && v.atLeast(r.least)
}

func askVersion(ctx context.Context, path string, args []string) (version, string, bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	printed, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return version{}, "", false
	}
	return parseVersion(string(printed))
}
