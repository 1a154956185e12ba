package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"astern.dev/astern/actions"
)

var (
	// ErrMoved is wrapped when the object is not the one that was read, or no longer as it was read. Nothing was written.
	ErrMoved = errors.New("the world moved")
	// ErrInvalid is wrapped when the server refuses what was sent. Nothing was written.
	ErrInvalid = errors.New("the server refuses it")
)

// IsNotFound says that there is no such object.
func IsNotFound(err error) bool { return apierrors.IsNotFound(err) }

// IsForbidden says that a right is missing, or that admission refused.
func IsForbidden(err error) bool { return apierrors.IsForbidden(err) }

// IsAlreadyExists says that an object of the name is there.
func IsAlreadyExists(err error) bool { return apierrors.IsAlreadyExists(err) }

// FieldConflict is a field that another manager owns.
type FieldConflict struct{ Manager, Field string }

// ConflictError is a server-side apply that would take fields from other managers. Nothing was written.
type ConflictError struct {
	Ref       Ref
	Conflicts []FieldConflict
}

func (e *ConflictError) Error() string {
	var fields []string
	for _, c := range e.Conflicts {
		fields = append(fields, c.Field+" belongs to "+c.Manager)
	}
	return fmt.Sprintf("apply %s: %s", e.Ref, strings.Join(fields, ", "))
}

// call is what was asked of the server.
type call struct {
	verb, sub, path string
	ref             Ref
	kind            Kind
	dry, jsonPatch  bool
}

func (c call) writes() bool {
	return !c.dry && !slices.Contains([]string{"get", "list", "watch"}, c.verb)
}

func (c call) String() string {
	var words []string
	switch {
	case c.path != "":
		return "GET " + c.path
	case c.ref.Name == "" && c.ref.Namespace == "":
		words = []string{c.verb, c.kind.Resource}
	case c.ref.Name == "":
		words = []string{c.verb, c.kind.Resource, "in", c.ref.Namespace}
	default:
		words = []string{c.verb, c.ref.String()}
	}
	if c.sub != "" {
		words = append(words, "("+c.sub+")")
	}
	if c.dry {
		words = append(words, "(dry run)")
	}
	return strings.Join(words, " ")
}

// failed says what an error of the API server means. The order matters: a failed test of a JSON Patch and a refused
// object share a status and a reason.
func (c *Cluster) failed(what call, err error) error {
	err = c.scrubbed(err)
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return unanswered(what, err)
	}
	answer := status.Status()
	switch {
	case conflicts(answer) != nil:
		return actions.Permanent(&ConflictError{what.ref, conflicts(answer)})
	case answer.Reason == metav1.StatusReasonConflict:
		return fmt.Errorf("%s: %w: %w", what, ErrMoved, err)
	case what.jsonPatch && failedTest(answer):
		return fmt.Errorf("%s: %w: it is no longer as it was read", what, ErrMoved)
	case answer.Code == http.StatusUnprocessableEntity, answer.Code == http.StatusBadRequest, unknownField(answer):
		return actions.Permanent(fmt.Errorf("%s: %w: %w", what, ErrInvalid, brief{err}))
	case answer.Code == http.StatusForbidden && lacksRight(err) && c.starting():
		return fmt.Errorf("%s: the API server is starting and knows no rights yet: %w", what, err)
	case answer.Code == http.StatusForbidden:
		return actions.Permanent(what.forbidden(err))
	case answer.Code == http.StatusUnauthorized:
		c.session.forget()
		return fmt.Errorf("%s: the API server does not accept the credentials: %w", what, err)
	case answer.Code == http.StatusNotFound:
		return fmt.Errorf("%s: %w", what, err)
	case what.writes() && answer.Code >= http.StatusInternalServerError && !beforeStorage(answer):
		return actions.Doubtful(fmt.Errorf("%s: %w", what, err))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// echoed is the whole object, which the server shows when a patch makes a field it does not know: with all its values.
var echoed = regexp.MustCompile(`(?s)Invalid value: "\{.*\}": `)

// brief is a refusal without the object that was refused.
type brief struct{ error }

func (b brief) Error() string { return echoed.ReplaceAllString(b.error.Error(), "") }
func (b brief) Unwrap() error { return b.error }

// unanswered tells a request that was never sent from one whose answer is not known.
func unanswered(what call, err error) error {
	if !what.writes() || neverSent(err) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return actions.Doubtful(fmt.Errorf("%s: no answer, so it is not known whether it was done: %w", what, err))
}

// unsent is an error of the dialer: there was no connection that a request could have left by.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

func neverSent(err error) bool {
	var dial unsent
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	return errors.As(err, &dial) || errors.As(err, &record) || errors.As(err, &verification) || errors.As(err, &unknown)
}

func conflicts(answer metav1.Status) []FieldConflict {
	if answer.Details == nil {
		return nil
	}
	var all []FieldConflict
	for _, cause := range answer.Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			all = append(all, FieldConflict{managerIn(cause.Message), cause.Field})
		}
	}
	return all
}

// managerIn reads the manager out of `conflict with "kubectl" using apps/v1 at …`.
func managerIn(message string) string {
	parts := strings.SplitN(message, `"`, 3)
	if len(parts) < 3 {
		return message
	}
	return parts[1]
}

// failedTest tells a failed `test` from a refused object: it names no cause, and says no more than that it was rejected.
func failedTest(answer metav1.Status) bool {
	return answer.Code == http.StatusUnprocessableEntity && (answer.Details == nil || len(answer.Details.Causes) == 0) &&
		strings.Contains(answer.Message, "rejected our request due to an error in our request")
}

// unknownField is a server-side apply of an object with a field the schema does not have: it comes as a server's error.
func unknownField(answer metav1.Status) bool {
	return strings.Contains(answer.Message, "failed to create typed patch object")
}

// beforeStorage is a server's error of which it is certain that nothing was stored.
func beforeStorage(answer metav1.Status) bool {
	return strings.Contains(answer.Message, "failed calling webhook")
}

// forbidden names the right that is missing. Admission refuses with the same status, but says something else.
func (c call) forbidden(err error) error {
	if !lacksRight(err) {
		return fmt.Errorf("%s: refused by admission: %w", c, err)
	}
	where := " in namespace " + c.ref.Namespace
	if c.ref.Namespace == "" {
		where = " in the whole cluster"
	}
	return fmt.Errorf("%s: the right to %s %s%s is missing; `astern rbac` prints what is needed: %w", c, c.verb, resourceName(c.kind.Group, c.kind.Resource, c.sub), where, err)
}

// lacksRight tells a missing right from what admission refuses.
func lacksRight(err error) bool { return strings.Contains(err.Error(), " cannot ") }

func resourceName(group, resource, sub string) string {
	if sub != "" {
		resource += "/" + sub
	}
	if group != "" {
		resource += "." + group
	}
	return resource
}

// scrubbed takes the credentials out of an error's text, should a server have echoed them.
func (c *Cluster) scrubbed(err error) error {
	text := err.Error()
	clean := text
	for _, secret := range c.secrets() {
		clean = strings.ReplaceAll(clean, secret, "<secret>")
	}
	if clean == text {
		return err
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		answer := status.Status()
		answer.Message = clean
		return &apierrors.StatusError{ErrStatus: answer}
	}
	return errors.New(clean)
}
