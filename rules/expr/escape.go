package expr

// EscapeText shows what a stranger's text hides: control characters, line ends, overrides of the reading direction.
func EscapeText(text string) string { return visible(text) }
