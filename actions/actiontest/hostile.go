package actiontest

import "strings"

// Hostile is a corpus of strings that a stranger could put into a label: each tries to be read as something else than one
// value, by a shell, an argv parser, HTTP, a URL, PromQL, HAProxy's command line, YAML, CEL, HTML, a terminal or a file
// system. Every one is different; there are more than 200.
func Hostile() []string {
	all := append([]string{}, hostileBases...)
	for _, base := range hostileBases {
		all = append(all, "blue"+base, base+"blue")
	}
	for r := range 32 { // every control character
		all = append(all, "x"+string(rune(r))+"y")
	}
	seen := map[string]bool{}
	var unique []string
	for _, s := range append(all, strings.Repeat("A", 70_000), strings.Repeat("../", 500)) {
		if !seen[s] {
			seen[s], unique = true, append(unique, s)
		}
	}
	return unique
}

var hostileBases = []string{
	// shells
	"; touch /tmp/pwned", "$(touch /tmp/pwned)", "`touch /tmp/pwned`", "| cat /etc/passwd", "&& reboot", "|| reboot", "> /etc/passwd",
	"\n rm -rf /\n", "$IFS$9id", "${PATH}", "%PATH%", "~root", "*", "?", "[a-z]", "{a,b}", "!!", "#comment", "'", "\"", "\\", "'\"'\"'",
	// options
	"-rf", "--help", "-o ProxyCommand=id", "--", "-", "@/etc/passwd", "=cmd|' /C calc'!A0",
	// HAProxy's runtime API
	";set server web/green weight 256", "\nshutdown sessions server web/blue", "/green", " weight 256", "@1 show info", "<<\n", "web/blue;quit",
	// HTTP and addresses
	"\r\nX-Evil: 1", "\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n", "%0d%0aSet-Cookie:a=b", "@169.254.169.254/", "//evil.test/", "\\\\evil.test\\share",
	"?admin=true", "#fragment", "&token=x", "../../../etc/passwd", "..%2f..%2f", "%2e%2e/", "/..;/admin", "http://169.254.169.254/latest/meta-data/",
	"file:///etc/passwd", "gopher://127.0.0.1:11211/_stats", "javascript:alert(1)", ":80/", "[::1]", "0x7f000001", "2130706433",
	// PromQL, CEL, YAML, templates
	"\"} or vector(1) or x{a=\"", "'} or on() vector(0)", "`}", ".*", "|.+", "${target.name}", "${steps}", "{{ .Values }}", "{% raw %}", "<%= 7*7 %>",
	"!!python/object:os.system", "&anchor", "*alias", "- item", "key: value", "null", "~", "yes", "0x10", "1e400", "[]", "{}", "---\n",
	// SQL, JSON, HTML, terminals
	"' OR '1'='1", "'; DROP TABLE incidents; --", "\",\"admin\":true,\"x\":\"", "\\u0022", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
	"\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x9b31m", "<!channel>", "@everyone", "<@U0001>", "[click](http://evil.test)",
	// text itself
	"\u202eevil", "\u2066x\u2069", "\u200b", "\ufeff", "\u0000", "\ud7ff", "\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "e\u0301", "ﬀ", "İ", "\u2028", "\u0085", " ", "\t", "",
}
