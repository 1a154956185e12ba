// Package repository reaches Git repositories for actions: the connection kind "git", a mirror of each repository on
// disk, and what actions read from it and write to it, all by the git program. It knows pull requests of GitHub and GitLab.
// Of ours it imports actions and actions/client; git/revert and manifest/revert stand on it.
package repository

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"

	"astern.dev/astern/actions"
)

const (
	kind           = "git"
	defaultBranch  = "main"
	defaultTimeout = 2 * time.Minute
)

// Family brings the connection kind "git".
func Family() actions.Family {
	return actions.Family{Kind: kind, NewConnection: func() actions.Connection { return &Connection{} }}
}

// Connection is one entry of `connections.git`: a Git repository, mirrored on disk and reached by the git program (2.38 or
// newer), which the image must have. No configuration of the machine or the user is read, no hook and no credential helper
// runs. Before each exchange the host is judged by the egress rules, and git is held to the address that passed.
type Connection struct {
	// URL is https://host/path.git or ssh://git@host/path.git. Plain http:// is taken only without credentials.
	URL string `yaml:"url"`
	// Branch is the one that is deployed from; main without a word.
	Branch string `yaml:"branch,omitempty"`
	// HTTPS holds what an https address needs.
	HTTPS HTTPS `yaml:"https,omitempty"`
	// SSH holds what an ssh address needs.
	SSH SSH `yaml:"ssh,omitempty"`
	// API is where pull requests are made.
	API API `yaml:"api,omitempty"`
	// Author is who astern's commits are by.
	Author Author `yaml:"author,omitempty"`
	// Cache is the directory for the mirror; one below the machine's directory for temporary files without a word. It may
	// be lost at any time: it is fetched again.
	Cache string `yaml:"cache,omitempty"`
	// Timeout bounds one exchange with the server; 2m without a word. The first one, which fetches the whole history, may take
	// ten times as long.
	Timeout actions.Duration `yaml:"timeout,omitempty"`
	// AllowLocal takes an absolute path as url.
	AllowLocal bool `yaml:"allow_local,omitempty"`
}

// HTTPS is how astern names itself to a server that is reached by https. The token needs to write contents, nothing else;
// it must not bypass the protection of branches.
type HTTPS struct {
	// TokenFile holds the token or password. It is read at each use.
	TokenFile string `yaml:"token_file,omitempty"`
	// Username goes with it; x-access-token without a word, which GitHub takes. GitLab's deploy tokens have a name of their own.
	Username string `yaml:"username,omitempty"`
	// Scheme is basic without a word, or bearer.
	Scheme string `yaml:"scheme,omitempty"`
	// CAFile holds the certificates of the authorities to trust instead of the machine's.
	CAFile string `yaml:"ca_file,omitempty"`
}

// SSH is how astern names itself to a server that is reached by ssh, and how it knows that server.
type SSH struct {
	// KeyFile holds a private key without passphrase.
	KeyFile string `yaml:"key_file,omitempty"`
	// KnownHostsFile holds the server's key. A server that it does not name is refused.
	KnownHostsFile string `yaml:"known_hosts_file,omitempty"`
}

// API is the interface of the place that hosts the repository.
type API struct {
	// Kind is github or gitlab.
	Kind string `yaml:"kind,omitempty"`
	// URL is the API's root: https://api.github.com or https://gitlab.com/api/v4 without a word.
	URL string `yaml:"url,omitempty"`
	// Project is owner/name, or with gitlab the whole path of the project.
	Project string `yaml:"project,omitempty"`
	// TokenFile holds the token, sent as bearer. It is read at each use.
	TokenFile string `yaml:"token_file,omitempty"`
	// HTTPConfig is http_config as in Prometheus, for a proxy or an own certificate authority.
	HTTPConfig config.HTTPClientConfig `yaml:"http_config,omitempty"`
}

// Author is a name and an address.
type Author struct {
	// Name is astern without a word.
	Name string `yaml:"name,omitempty"`
	// Email is astern@localhost without a word.
	Email string `yaml:"email,omitempty"`
}

// SetDirectory makes relative files relative to dir.
func (c *Connection) SetDirectory(dir string) {
	for _, file := range []*string{&c.HTTPS.TokenFile, &c.HTTPS.CAFile, &c.SSH.KeyFile, &c.SSH.KnownHostsFile, &c.API.TokenFile, &c.Cache} {
		*file = config.JoinDir(dir, *file)
	}
	c.API.HTTPConfig.SetDirectory(dir)
}

// Validate says what is missing or wrong.
func (c *Connection) Validate() error {
	failed := []error{c.checkURL(), c.checkSSH(), c.checkHTTPS(), c.API.validate()}
	if err := CheckBranch(c.branch()); err != nil {
		failed = append(failed, fmt.Errorf("branch: %w", err))
	}
	if c.Timeout < 0 {
		failed = append(failed, errors.New("timeout: must not be negative"))
	}
	for what, value := range map[string]string{"author.name": c.Author.Name, "author.email": c.Author.Email, "https.username": c.HTTPS.Username} {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '<' || r == '>' }) {
			failed = append(failed, fmt.Errorf("%s: must be one line without < and >", what))
		}
	}
	return errors.Join(failed...)
}

func (c *Connection) branch() string { return cmp.Or(c.Branch, defaultBranch) }

var (
	hostForm = regexp.MustCompile(`^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?)(:[0-9]{1,5})?$`)
	pathForm = regexp.MustCompile(`^/[A-Za-z0-9_.~+/-]+$`)
	userForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
)

func (c *Connection) checkURL() error {
	if filepath.IsAbs(c.URL) {
		if !c.AllowLocal {
			return errors.New("url: a path on this machine is taken only with allow_local: true")
		}
		return nil
	}
	at, err := url.Parse(c.URL)
	if err != nil || !hostForm.MatchString(at.Host) || !pathForm.MatchString(at.Path) || at.RawQuery != "" || at.Fragment != "" {
		return errors.New("url: must be https://host/path.git or ssh://git@host/path.git")
	}
	_, password := at.User.Password()
	switch {
	case at.Scheme != "https" && at.Scheme != "http" && at.Scheme != "ssh":
		return errors.New("url: must begin with https:// or ssh://")
	case password, at.User != nil && at.Scheme != "ssh":
		return errors.New("url: must not hold credentials; name a file with https.token_file")
	case at.User != nil && !userForm.MatchString(at.User.Username()):
		return errors.New("url: the user must be a plain name such as git")
	case at.Scheme == "http" && c.HTTPS.TokenFile != "":
		return errors.New("url: http:// would show the token to everybody on the way; use https://")
	}
	return nil
}

func (c *Connection) checkSSH() error {
	if !strings.HasPrefix(c.URL, "ssh://") {
		if c.SSH != (SSH{}) {
			return errors.New("ssh: the url does not begin with ssh://")
		}
		return nil
	}
	if c.SSH.KeyFile == "" || c.SSH.KnownHostsFile == "" {
		return errors.New("ssh: key_file and known_hosts_file are both needed; `ssh-keyscan` asks a server for its key, and the operator of the server confirms it")
	}
	for what, path := range map[string]string{"key_file": c.SSH.KeyFile, "known_hosts_file": c.SSH.KnownHostsFile} {
		if strings.ContainsAny(path, " \t\r\n'\"\\%$~") {
			return fmt.Errorf("ssh: %s: the path must not hold spaces, quotes, %%, $, ~ or \\", what)
		}
	}
	return nil
}

func (c *Connection) checkHTTPS() error {
	switch {
	case c.HTTPS != (HTTPS{}) && !strings.HasPrefix(c.URL, "http"):
		return errors.New("https: the url does not begin with https://")
	case c.HTTPS.Scheme != "" && c.HTTPS.Scheme != "basic" && c.HTTPS.Scheme != "bearer":
		return fmt.Errorf("https.scheme: %q is neither basic nor bearer", c.HTTPS.Scheme)
	case c.HTTPS.Scheme == "bearer" && c.HTTPS.Username != "":
		return errors.New("https.username: a bearer token goes without a name")
	case strings.Contains(c.HTTPS.Username, ":"):
		return errors.New("https.username: must not hold a colon")
	}
	return nil
}

// Open gives a *Repository.
func (c *Connection) Open(dial actions.Dial) (any, error) {
	r := &Repository{
		url: c.URL, branch: c.branch(), https: c.HTTPS, ssh: c.SSH, dial: dial, cache: c.Cache,
		author:  Author{cmp.Or(c.Author.Name, "astern"), cmp.Or(c.Author.Email, "astern@localhost")},
		timeout: cmp.Or(time.Duration(c.Timeout), defaultTimeout), turn: make(chan struct{}, 1),
	}
	if c.API.Kind == "" {
		return r, nil
	}
	pulls, err := c.API.open(dial)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	r.pulls = pulls
	return r, nil
}

// Repository is an opened connection, safe for concurrent use.
type Repository struct {
	url, branch, cache string
	https              HTTPS
	ssh                SSH
	author             Author
	timeout            time.Duration
	dial               actions.Dial
	pulls              *Pulls
	turn               chan struct{} // holds one while the mirror is being written

	mu    sync.Mutex
	first *firstFetch // while there is no mirror yet
}

// Of gives the repository that the target chose.
func Of(env actions.Env) (*Repository, error) {
	opened, err := env.Connect(kind, "")
	if err != nil {
		return nil, err
	}
	r, fits := opened.(*Repository)
	if !fits || r == nil {
		return nil, actions.Permanent(errors.New("the git connection is no repository"))
	}
	return r, nil
}

// Branch is the branch of the connection.
func (r *Repository) Branch() string { return r.branch }

// URL is the address, which holds no secret.
func (r *Repository) URL() string { return r.url }

// Pulls makes pull requests; nil when the connection has no api.
func (r *Repository) Pulls() *Pulls { return r.pulls }
