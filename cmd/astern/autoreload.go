package main

import (
	"context"
	"os"
	"time"

	"astern.dev/astern/actions/all"
	"astern.dev/astern/engine/config"
)

// autoReload reads the files again whenever their content changed, as a mounted ConfigMap does. Content that was refused is
// tried again when it changes once more.
func (s *server) autoReload(ctx context.Context) {
	if s.flags.autoReload <= 0 {
		return
	}
	tick := time.NewTicker(s.flags.autoReload)
	defer tick.Stop()
	for last := filesDigest(s.flags.configFile); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := filesDigest(s.flags.configFile); now != last && now != "" {
			last = now
			_ = s.reload(ctx) // logged, counted and shown by /-/ready
		}
	}
}

// filesDigest names the content of astern.yaml and of the files that it names; empty when it cannot be read.
func filesDigest(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	registry, err := all.Registry()
	if err != nil {
		return ""
	}
	c, _ := config.Load(path, data, registry)
	files, _ := c.Read()
	return c.DigestWith(files)
}
