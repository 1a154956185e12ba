package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
	"astern.dev/astern/actions/message/fault"
	"astern.dev/astern/actions/message/messagetest"
)

const (
	oldSecret = "an-old-secret-of-enough-bytes"
	newSecret = "whsec_bmV3IHNlY3JldCBvZiBlbm91Z2ggYnl0ZXM="
)

// receiver takes a telling once by its id, and only when one signature is by the secret it knows.
type receiver struct {
	faults fault.Plan
	key    []byte

	mu     sync.Mutex
	taken  []envelope
	repeat int
	calls  int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	r.faults.Wrap(http.HandlerFunc(r.take)).ServeHTTP(w, req)
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	id, stamp := req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp")
	if !r.signed(req.Header.Get("Webhook-Signature"), id+"."+stamp+"."+string(body)) {
		http.Error(w, "signature", http.StatusUnauthorized)
		return
	}
	var e envelope
	if json.Unmarshal(body, &e) != nil || e.ID != id || req.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "body", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, before := range r.taken {
		if before.ID == id {
			r.repeat++
			return
		}
	}
	r.taken = append(r.taken, e)
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) signed(header, content string) bool {
	if r.key == nil {
		return header == ""
	}
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(content))
	for _, s := range strings.Fields(header) {
		if s == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			return true
		}
	}
	return false
}

func newBench(t *testing.T, r *receiver, secrets ...string) (*messagetest.Lane, string) {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	connection := &Connection{Server: message.Server{URL: server.URL + "/hook?key=url-canary"}}
	for i, secret := range secrets {
		connection.SecretFiles = append(connection.SecretFiles, write(t, fmt.Sprint(i), secret))
	}
	return &messagetest.Lane{Channel: &Webhook{}, Opened: open(t, connection), ID: "checkout-42/records"}, server.URL
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(content+"\n"), 0o600))
	return file
}

func open(t *testing.T, c *Connection) any {
	t.Helper()
	require.NoError(t, c.Validate())
	opened, err := c.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	require.NoError(t, err)
	t.Cleanup(opened.(*Receiver).http.Close)
	return opened
}

func TestTellingsAreSignedEvents(t *testing.T) {
	r := &receiver{key: []byte(oldSecret)}
	lane, _ := newBench(t, r, oldSecret)
	first := messagetest.Message()
	last := messagetest.Next(first, "Recovered", func(m *actions.Message) { m.Final, m.Good = true, true })
	require.NoError(t, lane.Tell(t.Context(), first))
	require.NoError(t, lane.Tell(t.Context(), last))
	require.Len(t, r.taken, 2)
	require.Equal(t, "astern.incident.opened", r.taken[0].Type)
	require.Equal(t, "checkout-42/records/1", r.taken[0].ID)
	require.Equal(t, first.Trigger, r.taken[0].Data.Trigger)
	require.Equal(t, "astern.incident.ended", r.taken[1].Type)
	require.Equal(t, 2, r.taken[1].Revision)
	require.Equal(t, "checkout-42/records/2", lane.Ref)
}

// A receiver that knows only one of two secrets is served while they are changed.
func TestEitherSecretSigns(t *testing.T) {
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(newSecret, "whsec_"))
	require.NoError(t, err)
	for name, key := range map[string][]byte{"the old one": []byte(oldSecret), "the new one": decoded} {
		r := &receiver{key: key}
		lane, _ := newBench(t, r, oldSecret, newSecret)
		require.NoError(t, lane.Tell(t.Context(), messagetest.Message()), name)
	}
	r := &receiver{key: []byte("another secret, never configured")}
	lane, _ := newBench(t, r, oldSecret, newSecret)
	err = lane.Tell(t.Context(), messagetest.Message())
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "does not accept the signature")
	require.NoError(t, func() error {
		lane, _ := newBench(t, &receiver{})
		return lane.Tell(t.Context(), messagetest.Message())
	}())
}

// The published example of Standard Webhooks.
func TestTheSignatureIsTheStandards(t *testing.T) {
	key, err := signingKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)))
}

func TestEveryFaultEndsInOneTelling(t *testing.T) {
	for name, f := range map[string]fault.Fault{"drop before": fault.DropBefore, "drop after": fault.DropAfter, "500 before": fault.ErrorBefore,
		"500 after": fault.ErrorAfter, "429": fault.Busy(time.Second), "503": fault.Say(503, "")} {
		r := &receiver{key: []byte(oldSecret)}
		lane, _ := newBench(t, r, oldSecret)
		first := messagetest.Message()
		r.faults.Add("/hook", f)
		require.NoError(t, lane.Tell(t.Context(), first), name)
		r.faults.Add("/hook", f)
		require.NoError(t, lane.Tell(t.Context(), messagetest.Next(first, "Verifying", nil)), name)
		require.Len(t, r.taken, 2, name)
		require.Len(t, lane.Errors, 2, name)
	}
}

func TestStatuses(t *testing.T) {
	for status, permanent := range map[int]bool{301: true, 302: true, 400: true, 401: true, 404: true, 410: true, 413: true,
		408: false, 425: false, 429: false, 500: false, 501: false, 502: false, 503: false} {
		r := &receiver{}
		lane, _ := newBench(t, r)
		r.faults.Add("/hook", fault.Say(status, "body-canary"))
		err := lane.Try(t.Context(), messagetest.Message())
		require.Error(t, err, status)
		require.Equal(t, permanent, actions.IsPermanent(err), status)
		require.ErrorContains(t, err, fmt.Sprint(status))
		require.NotContains(t, err.Error(), "canary")
		require.Equal(t, 1, r.calls, "nothing is repeated inside the channel")
	}
}

func TestNoErrorHoldsASecret(t *testing.T) {
	r := &receiver{}
	_, server := newBench(t, r)
	secret := write(t, "secret", "canary-secret-of-enough-bytes")
	for name, c := range map[string]*Connection{
		"dropped":      {URLFile: write(t, "url", server+"/url-canary"), SecretFiles: []string{secret}},
		"unreachable":  {URLFile: write(t, "url", "http://127.0.0.1:1/url-canary"), SecretFiles: []string{secret}},
		"no address":   {URLFile: write(t, "url", "url-canary")},
		"short secret": {Server: message.Server{URL: server}, SecretFiles: []string{write(t, "s", "canary")}},
		"no base64":    {Server: message.Server{URL: server}, SecretFiles: []string{write(t, "s", "whsec_canary!")}},
	} {
		r.faults.Add("/url-canary", fault.DropBefore)
		lane := &messagetest.Lane{Channel: &Webhook{}, Opened: open(t, c), ID: "n"}
		err := lane.Try(t.Context(), messagetest.Message())
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "canary", name)
	}
}

func TestAWeakSecretSignsNothing(t *testing.T) {
	r := &receiver{}
	lane, _ := newBench(t, r, "short")
	require.ErrorContains(t, lane.Try(t.Context(), messagetest.Message()), "shorter than 24 bytes")
	require.Zero(t, r.calls)
}

func TestHostileWordsArriveAsTheyAre(t *testing.T) {
	for _, words := range messagetest.Hostile() {
		r := &receiver{key: []byte(oldSecret)}
		lane, _ := newBench(t, r, oldSecret)
		m := messagetest.Message()
		m.Title, m.Status, m.Trigger = words, words, words
		require.NoError(t, lane.Tell(t.Context(), m), "%.40q", words)
		require.Equal(t, string([]rune(words)), r.taken[0].Data.Title)
	}
}

func TestConnectionsSayWhatIsWrong(t *testing.T) {
	require.ErrorContains(t, new(Connection).Validate(), "exactly one of url and url_file")
	require.ErrorContains(t, (&Connection{Server: message.Server{URL: "https://h.example"}, URLFile: "f"}).Validate(), "exactly one")
	for _, url := range []string{"h.example", "ftp://h.example", "https://", "https://user:canary@h.example/", "https://h.example/#canary"} {
		err := (&Connection{Server: message.Server{URL: url}}).Validate()
		require.ErrorContains(t, err, "url: ", url)
		require.NotContains(t, err.Error(), "canary")
	}
	c := &Connection{URLFile: "url", SecretFiles: []string{"one", "/two"}}
	require.NoError(t, c.Validate())
	c.SetDirectory("/etc/astern")
	require.Equal(t, []string{"/etc/astern/one", "/two"}, c.SecretFiles)
	require.Equal(t, "/etc/astern/url", c.URLFile)
	require.Error(t, (&Connection{URLFile: "url", SecretFiles: []string{""}}).Validate())
	require.Error(t, (&Connection{URLFile: "url", SecretFiles: make([]string, 5)}).Validate())
	_, err := new(Webhook).Run(t.Context(), actions.Env{})
	require.ErrorContains(t, err, "cannot be a step")
}
