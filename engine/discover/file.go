package discover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// FileName is how the file of a cluster's targets is called among the files of the configuration.
func FileName(site string) string { return "discovered/" + site + ".yaml" }

// SiteOf is the cluster that a file of that name speaks of.
func SiteOf(file string) (string, bool) {
	name, is := strings.CutPrefix(file, "discovered/")
	return strings.TrimSuffix(name, ".yaml"), is
}

// lineOfFirst is where the first target stands in the file; each takes one line.
const lineOfFirst = 4

// Write is a target file with the entries, one a line. The same entries give the same bytes.
func Write(site string, entries []Entry) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# What annotations in the cluster %q name. It is written anew when they change: change it there.\n", site)
	b.WriteString("# Behind each target is the uid of its object.\ntargets:\n")
	for _, e := range entries {
		line, err := json.Marshal(e) // maps of texts: keys come sorted, and nothing can fail
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "  - %s # %s\n", line, e.UID)
	}
	if len(entries) == 0 {
		return nil
	}
	return b.Bytes()
}

// EntryAt is which entry stands at a line of the file.
func EntryAt(line int) int { return line - lineOfFirst }

// Parse reads what Write wrote.
func Parse(file []byte) ([]Entry, error) {
	var all []Entry
	for n, line := range strings.Split(string(file), "\n") {
		text, is := strings.CutPrefix(line, "  - ")
		if !is {
			continue
		}
		var e Entry
		d := json.NewDecoder(strings.NewReader(text))
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("read a file of discovered targets: line %d: %w", n+1, err)
		}
		e.UID = strings.TrimPrefix(text[d.InputOffset():], " # ")
		all = append(all, e)
	}
	return all, nil
}
