package ruletest

// Schema is the JSON Schema (2020-12) of a rule-test file, for editors. What it demands beyond shapes is told when the
// file is read.
func Schema() map[string]any {
	s := fileKeys().schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Rule tests of astern"
	return s
}
