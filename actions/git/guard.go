package git

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/repository"
)

// protected are paths whose effect lies outside Git.
var protected = []string{
	"**/migrations/**", "**/migration/**", "**/db/migrate/**", "**/flyway/**", "**/liquibase/**",
	"**/crds/**", "**/*.tf", "**/*.tfvars", "**/*.tfstate", "**/.terraform.lock.hcl",
	"**/*.sops.*", "**/.sops.yaml", "**/*sealedsecret*", "**/*sealed-secret*", "**/*externalsecret*", "**/*external-secret*",
}

var (
	secretPath = regexp.MustCompile(`(?i)(^|[/._-])(sops|secrets?|sealed-?secrets?|external-?secrets?|credentials?|tfstate|tfvars|passwd|htpasswd)([/._-]|$)|\.(pem|key|p12|pfx|jks)$`)
	secretKind = regexp.MustCompile(`(?mi)^[\s-]*["']?kind["']?\s*:\s*["']?(Secret|SecretList|SealedSecret|ExternalSecret|ClusterExternalSecret|SecretStore|ClusterSecretStore|VaultStaticSecret|VaultDynamicSecret)["']?\s*,?\s*(#.*)?$`)
	sopsMark   = regexp.MustCompile(`(?m)^\s*["']?sops["']?\s*:|ENC\[AES256_GCM,`)
	crdKind    = regexp.MustCompile(`(?mi)^[\s-]*["']?kind["']?\s*:\s*["']?CustomResourceDefinition`)
)

// why a file must not be taken back by itself; empty when it may.
func (r *Revert) why(path string, contents ...[]byte) string {
	for _, pattern := range append(r.Protect, protected...) {
		if matches(pattern, path) {
			return "protected by " + pattern
		}
	}
	for _, content := range contents {
		switch {
		case sopsMark.Match(content):
			return "is encrypted by SOPS"
		case secretKind.Match(content):
			return "holds a secret"
		case crdKind.Match(content):
			return "holds a custom resource definition"
		}
	}
	return ""
}

// guard refuses a change of protected files that the user did not allow.
func (r *Revert) guard(ctx context.Context, repo *repository.Repository, u *undo) error {
	contents, err := repo.Contents(ctx, u.changes)
	if err != nil {
		return err
	}
	var refused []string
	for _, c := range u.changes {
		why := r.why(c.Path, contents[c.Old], contents[c.New])
		if why == "" || r.allowed(c.Path) {
			continue
		}
		refused = append(refused, fmt.Sprintf("%s (%s)", repository.Clean(c.Path, 200), why))
	}
	if len(refused) == 0 {
		return nil
	}
	return actions.Permanent(fmt.Errorf("%s would be taken back, too: %s; what these did outside Git does not come back with them: name them under allow if it is meant",
		plural(len(refused), "protected file", "protected files"), joined(refused, 10)))
}

func (r *Revert) allowed(path string) bool {
	for _, pattern := range r.Allow {
		if matches(pattern, path) {
			return true
		}
	}
	return false
}

// hidden says that what a file holds is not shown.
func hidden(path string, contents ...[]byte) bool {
	if secretPath.MatchString(path) {
		return true
	}
	for _, content := range contents {
		if secretKind.Match(content) || sopsMark.Match(content) {
			return true
		}
	}
	return false
}

func checkPatterns(what string, patterns []string) error {
	if len(patterns) > 100 {
		return fmt.Errorf("%s: 100 patterns at most", what)
	}
	for _, p := range patterns {
		if p == "" || len(p) > 512 || strings.HasPrefix(p, "/") || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return errors.Join(fmt.Errorf("%s: %+.80q is no pattern of paths such as infra/**", what, p))
		}
	}
	return nil
}

// matches knows * and ? within a name and ** for any number of directories. A pattern that names a directory covers what is
// below it. Case does not count.
func matches(pattern, path string) bool {
	return segments(strings.Split(strings.ToLower(strings.TrimSuffix(pattern, "/")), "/"), strings.Split(strings.ToLower(path), "/"))
}

func segments(pattern, path []string) bool {
	switch {
	case len(pattern) == 0:
		return true // what is left of the path lies below
	case pattern[0] == "**":
		for n := range path {
			if segments(pattern[1:], path[n:]) {
				return true
			}
		}
		return len(pattern) == 1
	case len(path) == 0:
		return false
	}
	return name(pattern[0], path[0]) && segments(pattern[1:], path[1:])
}

// name matches one name: a star is any text, a question mark any one character.
func name(pattern, text string) bool {
	star, from := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p, t = p+1, t+1
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
