package expr

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

const (
	// costLimit bounds one evaluation, in CEL's cost units.
	costLimit = 1_000_000
	// maxSource and maxNodes bound one expression, as written and with its variables put in.
	maxSource = 10_000
	maxNodes  = 5_000
)

// Env is CEL as astern's files use it: typed variables, no function that does I/O, every evaluation bounded. It is safe
// for concurrent use.
type Env struct {
	mu       sync.Mutex
	scopes   map[string]*cel.Env
	programs map[programKey]*Program
}

// NewEnv makes the environment.
func NewEnv() (*Env, error) {
	e := &Env{scopes: map[string]*cel.Env{}, programs: map[programKey]*Program{}}
	for _, s := range []Scope{RuleWhen, RuleTarget, RuleText, Query, Holds, Communication} {
		if _, err := e.scope(s); err != nil {
			return nil, fmt.Errorf("make the CEL environment: %w", err)
		}
	}
	return e, nil
}

// maxScopes bounds how many environments are kept; what comes after is made anew each time.
const maxScopes = 1_000

// scope gives the CEL environment of a scope. They are dear and kept, all but those of a procedure's steps: two scopes
// with the same variables of the same types share one.
func (e *Env) scope(s Scope) (*cel.Env, error) {
	if s.steps != nil {
		return extend(s)
	}
	key := s.key()
	e.mu.Lock()
	defer e.mu.Unlock()
	if env, ok := e.scopes[key]; ok {
		return env, nil
	}
	env, err := extend(s)
	if err == nil && len(e.scopes) < maxScopes {
		e.scopes[key] = env
	}
	return env, err
}

// key is the same for scopes with the same variables of the same types.
func (s Scope) key() string {
	var b strings.Builder
	b.WriteString(s.name)
	for _, d := range s.known {
		b.WriteString("\x00" + d.name + "\x00" + d.ast.OutputType().String())
	}
	return b.String()
}

// programKey names a program that uses no variables.
type programKey struct {
	scope, text string
	want        Kind
}

func (e *Env) program(key programKey) *Program {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.programs[key]
}

func (e *Env) keep(key programKey, p *Program) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.programs[key] = p
}

func extend(s Scope) (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	p := &provider{registry, objects()}
	for name, o := range stepObjects(s.steps) {
		p.objects[name] = o
	}
	options := []cel.EnvOption{
		cel.CustomTypeProvider(p),
		cel.CustomTypeAdapter(p),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxSource),
		cel.ParserRecursionLimit(60),
		cel.ASTValidators(
			cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateComprehensionNestingLimit(2)),
	}
	roots := rootTypes()
	for _, name := range s.roots {
		options = append(options, cel.Variable(name, roots[name]))
	}
	for _, d := range s.known {
		options = append(options, cel.Variable(d.name, d.ast.OutputType()))
	}
	return cel.NewEnv(options...)
}

// Kind is what an expression must come to.
type Kind int

// The kinds. Any is whatever the expression gives.
const (
	Any Kind = iota
	Bool
	String
	Int
	Double
	Timestamp
	Duration
	List
	Map
	Null
)

var kindNames = []string{"a value", "true or false", "a string", "a whole number", "a number", "a time", "a duration", "a list", "a map", "nothing"}

func (k Kind) String() string { return kindNames[k] }

func kindOf(t *types.Type) Kind {
	switch t.Kind() {
	case types.BoolKind:
		return Bool
	case types.StringKind:
		return String
	case types.IntKind, types.UintKind:
		return Int
	case types.DoubleKind:
		return Double
	case types.TimestampKind:
		return Timestamp
	case types.DurationKind:
		return Duration
	case types.ListKind:
		return List
	case types.MapKind:
		return Map
	case types.NullTypeKind:
		return Null
	}
	return Any
}

// typeName is a CEL type in a user's words.
func typeName(t string) string {
	t = strings.TrimSpace(t)
	if strings.HasPrefix(t, prefix) {
		return strings.TrimPrefix(t, prefix)
	}
	plain := map[string]string{"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration", "dyn": "any value"}
	if word, ok := plain[t]; ok {
		return word
	}
	return t
}

// functions are the names of what an expression can call, for hints.
func functions(env *cel.Env) []string {
	var names []string
	for name := range env.Functions() {
		if !strings.ContainsAny(name, "_@!-.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return append(names, "has", "all", "exists", "exists_one", "map", "filter")
}
