// Package config holds the demo's own files, written as a user would write them, and fills in the addresses of the world
// that the demo has just put up. Only these files shorten times; the product's defaults are untouched.
package config

import (
	"bytes"
	"embed"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed *.yaml *.yml *.cfg
var files embed.FS

// Addresses is what the files cannot know beforehand. Hosts are host:port, URLs have no slash at the end, files are paths.
type Addresses struct {
	BlueHost, GreenHost string
	BlueURL, GreenURL   string

	AlertmanagerHost, AlertmanagerURL string
	PrometheusURL                     string
	HAProxySocket                     string
	ProxyURL                          string
	SlackURL                          string
	AsternURL                         string
	SenderTokenFile                   string
}

// Render gives one file with the addresses filled in.
func Render(name string, a Addresses) ([]byte, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Delims("<<", ">>").Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, a)
	return out.Bytes(), err
}

// Write renders files into a directory and gives their paths.
func Write(dir string, a Addresses, names ...string) ([]string, error) {
	paths := []string{}
	for _, name := range names {
		text, err := Render(name, a)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// Astern lists the files astern reads. astern.yaml is the first. Without HAProxy the procedure drives the example's own
// proxy over HTTP.
func Astern(a Addresses) []string {
	procedures := "procedures.yaml"
	if a.ProxyURL != "" {
		procedures = "procedures-proxy.yaml"
	}
	return []string{"astern.yaml", "rules.yaml", "targets.yaml", "communications.yaml", procedures}
}
