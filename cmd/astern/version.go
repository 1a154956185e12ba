package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"astern.dev/astern/web"
)

// release is the version of a released binary; the build sets it with -ldflags "-X main.release=v1.2.3".
var release string

// version is what this binary is: its release, else the commit it was built from.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if commit == "" {
		return "development"
	}
	return "development-" + commit + dirty
}

// versionDocument is `astern version -o json`.
type versionDocument struct {
	web.Header
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which astern this is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			got, err := document("Version", func(h web.Header) versionDocument {
				return versionDocument{h, version(), strings.TrimPrefix(runtime.Version(), "go"), runtime.GOOS, runtime.GOARCH}
			})
			if err != nil {
				return err
			}
			return show(a, got, func(v versionDocument) []string { return []string{v.Version} }, func(w io.Writer, v versionDocument) {
				fmt.Fprintf(w, "astern %s (go %s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
			})
		},
	}
}
