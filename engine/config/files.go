package config

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"astern.dev/astern/rules/expr"
)

// Files are the contents of the files that the patterns of astern.yaml find, by name.
type Files struct {
	Rules, Targets, Procedures, Communications map[string][]byte
}

func (c *Config) readPatterns(root *expr.Node) {
	c.RuleFiles, c.TargetFiles = patterns(root.Get("rule_files")), patterns(root.Get("target_files"))
	c.ProcedureFiles, c.CommunicationFiles = patterns(root.Get("procedure_files")), patterns(root.Get("communication_files"))
}

func patterns(n *expr.Node) []string {
	var all []string
	for _, item := range n.List() {
		pattern := item.Str()
		if _, err := filepath.Match(pattern, ""); err != nil {
			item.Report("config/pattern", fmt.Sprintf("%q is not a pattern for files", pattern), "use * and ? and [abc]")
			continue
		}
		all = append(all, pattern)
	}
	return all
}

// Read finds and reads the files as they are now. A pattern that finds nothing, or a file that cannot be read, is an
// error at the pattern. A file that two patterns find is read once.
func (c *Config) Read() (Files, expr.Diagnostics) {
	f, _ := expr.ParseFile(c.Path, c.text) // a reading of its own: its mistakes do not stay with the Config
	root := f.Root()
	files := Files{Rules: c.read(root.Get("rule_files")), Targets: c.read(root.Get("target_files")),
		Procedures: c.read(root.Get("procedure_files")), Communications: c.read(root.Get("communication_files"))}
	return files, f.Diagnostics()
}

func (c *Config) read(n *expr.Node) map[string][]byte { return ReadPatterns(n, c.Dir) }

// ReadPatterns reads what a list of patterns finds, those that are relative in a directory. A pattern that finds nothing,
// or a file that cannot be read, is a mistake at the pattern.
func ReadPatterns(n *expr.Node, dir string) map[string][]byte {
	files := map[string][]byte{}
	for _, item := range n.List() {
		names, err := filepath.Glob(Beside(dir, item.Str()))
		if err != nil || len(names) == 0 {
			item.Report("config/pattern", fmt.Sprintf("no file is found by %q", item.Str()), "")
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				item.Report("config/file", err.Error(), "")
				continue
			}
			files[name] = data
		}
	}
	return files
}

// DigestWith names a whole configuration by its content: astern.yaml and all the files it finds.
func (c *Config) DigestWith(f Files) string {
	all := map[string][]byte{filepath.Base(c.Path): c.text}
	for kind, files := range map[string]map[string][]byte{"rules": f.Rules, "targets": f.Targets, "procedures": f.Procedures, "communications": f.Communications} {
		for name, data := range files {
			all[kind+":"+name] = data
		}
	}
	return Digest(all)
}

// Digest is a digest of named contents: the same names and bytes give the same digest.
func Digest(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, part := range [][]byte{[]byte(name), files[name]} {
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(len(part)))
			h.Write(n[:])
			h.Write(part)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
