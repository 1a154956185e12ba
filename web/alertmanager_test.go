package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/config"
	"astern.dev/astern/engine/incident"
)

// alertmanager is Alertmanager's own sender.
func alertmanager(t *testing.T, address string, http commoncfg.HTTPClientConfig, change ...func(*webhook.WebhookConfig)) *webhook.Notifier {
	texts, err := template.FromGlobs(nil)
	require.NoError(t, err)
	texts.ExternalURL, err = url.Parse("http://alertmanager.example:9093")
	require.NoError(t, err)
	cfg := &webhook.WebhookConfig{HTTPConfig: &http, URL: amconfig.SecretTemplateURL(address), Timeout: 10 * time.Second}
	for _, c := range change {
		c(cfg)
	}
	n, err := webhook.New(cfg, texts, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return n
}

func amAlert(name string, begin, end time.Time) *alert.Alert {
	return &alert.Alert{Alert: model.Alert{
		Labels:      model.LabelSet{"alertname": model.LabelValue(name), "service": "honeylink-api"},
		Annotations: model.LabelSet{"summary": "a <b>\"é🔥\nline"},
		StartsAt:    begin, EndsAt: end, GeneratorURL: "http://prometheus.example/graph?g0.expr=up",
	}}
}

func flush() context.Context {
	ctx := notify.WithReceiverName(context.Background(), `astern`)
	ctx = notify.WithGroupKey(ctx, `{}:{service="honeylink-api"}`)
	ctx = notify.WithNotificationReason(ctx, notify.ReasonFirstNotification)
	return notify.WithGroupLabels(ctx, model.LabelSet{"service": "honeylink-api"})
}

func TestAlertmanagersOwnSenderIsUnderstood(t *testing.T) {
	f := newFixture(t)
	// Alertmanager asks its own clock what is resolved; the door's agrees.
	now := time.Now().UTC().Round(0)
	f.pass(now.Sub(receipt))
	door := f.url + "/api/v1/alertmanager"
	for name, http := range map[string]commoncfg.HTTPClientConfig{
		"am-bearer": {Authorization: &commoncfg.Authorization{Type: "Bearer", Credentials: senderToken}},
		"am-basic":  {BasicAuth: &commoncfg.BasicAuth{Username: "alertmanager", Password: senderPassword}},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(f.handed())
			again, err := alertmanager(t, door, http).Notify(flush(), amAlert("Firing", now.Add(-time.Hour), time.Time{}), amAlert("Resolved", now.Add(-time.Hour), now.Add(-time.Minute)))
			require.NoError(t, err)
			require.False(t, again)
			require.Len(t, f.handed(), before+1)
			n := f.handed()[before]
			require.Equal(t, name, n.Source)
			require.Equal(t, "firing", n.Status)
			require.Len(t, n.Alerts, 2)
			firing, resolved := n.Alerts[0], n.Alerts[1]
			require.Equal(t, "firing", firing.Alert.Status)
			require.Equal(t, map[string]string{"alertname": "Firing", "service": "honeylink-api"}, firing.Alert.Labels)
			require.Equal(t, "a <b>\"é🔥\nline", firing.Alert.Annotations["summary"])
			require.True(t, now.Add(-time.Hour).Equal(firing.Alert.StartsAt))
			require.Equal(t, "resolved", resolved.Alert.Status)
			require.True(t, now.Add(-time.Minute).Equal(resolved.Alert.EndsAt))
			for _, a := range n.Alerts {
				require.Empty(t, a.Quarantine+a.Note)
			}
		})
	}
}

func TestAlertmanagersOwnSenderTruncates(t *testing.T) {
	f := newFixture(t)
	many := make([]*alert.Alert, 50)
	for i := range many {
		many[i] = amAlert(fmt.Sprintf("A%d", i), receipt.Add(-time.Hour), time.Time{})
	}
	_, err := alertmanager(t, f.url+"/api/v1/alertmanager/", authorised(), func(c *webhook.WebhookConfig) { c.MaxAlerts = 20 }).Notify(flush(), many...)
	require.NoError(t, err)
	require.Len(t, f.handed()[0].Alerts, 20)
	require.Equal(t, 30, f.handed()[0].Truncated)
}

func authorised() commoncfg.HTTPClientConfig {
	return commoncfg.HTTPClientConfig{Authorization: &commoncfg.Authorization{Type: "Bearer", Credentials: senderToken}}
}

func TestAlertmanagersOwnSenderComesAgainWhenItShould(t *testing.T) {
	f := newFixture(t)
	good := amAlert("A", receipt.Add(-time.Hour), time.Time{})
	send := func(http commoncfg.HTTPClientConfig, change ...func(*webhook.WebhookConfig)) (bool, error) {
		return alertmanager(t, f.url+"/api/v1/alertmanager", http, change...).Notify(flush(), good)
	}
	f.receive = func(context.Context, engine.Notification) (engine.Receipt, error) {
		return engine.Receipt{}, incident.ErrUnavailable
	}
	again, err := send(authorised())
	require.Error(t, err)
	require.True(t, again, "what is temporary is sent again in the same flush")
	f.receive = nil

	again, err = send(commoncfg.HTTPClientConfig{Authorization: &commoncfg.Authorization{Type: "Bearer", Credentials: "junk"}})
	require.ErrorContains(t, err, "401")
	require.False(t, again, "what no retry mends is not")

	again, err = send(authorised(), func(c *webhook.WebhookConfig) { c.Payload = map[string]any{"text": "{{ .Status }}"} })
	require.ErrorContains(t, err, "custom `payload` must keep")
	require.False(t, again)

	f.Drain()
	again, err = send(authorised())
	require.Error(t, err)
	require.True(t, again)
}

func TestAlertmanagersOwnSenderWithAClientCertificate(t *testing.T) {
	f := newFixture(t)
	ca := newAuthority(t, f.dir, "ca")
	ca.issue("server", "127.0.0.1")
	ca.issue("am-certificate", "")
	newAuthority(t, f.dir, "stranger-ca").issue("stranger", "")
	f.options.WebConfigFile = f.secret("web.yml", `tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
`)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- f.Serve(l) }()
	send := func(who string, http commoncfg.HTTPClientConfig) error {
		http.TLSConfig = commoncfg.TLSConfig{CAFile: filepath.Join(f.dir, "ca.crt")}
		if who != "" {
			http.TLSConfig.CertFile, http.TLSConfig.KeyFile = filepath.Join(f.dir, who+".crt"), filepath.Join(f.dir, who+".key")
		}
		_, err := alertmanager(t, "https://"+l.Addr().String()+"/api/v1/alertmanager", http).Notify(flush(), amAlert("A", receipt.Add(-time.Hour), time.Time{}))
		return err
	}
	require.NoError(t, send("am-certificate", authorised()), "a certificate and a token")
	require.Error(t, send("", authorised()), "a token alone: no handshake")
	require.Error(t, send("stranger", authorised()), "another authority's certificate: no handshake")
	require.ErrorContains(t, send("am-certificate", commoncfg.HTTPClientConfig{}), "401", "a certificate that no sender names")

	c := f.config()
	c.Senders = []config.Sender{{Name: "am-mtls", ClientCertificate: "am-certificate"}}
	require.NoError(t, f.Configure(c))
	require.NoError(t, send("am-certificate", commoncfg.HTTPClientConfig{}), "a certificate that a sender names")
	require.ErrorContains(t, send("am-certificate", authorised()), "401", "a wrong token is a mistake, whatever the certificate")
	require.Len(t, f.handed(), 2)
	require.Equal(t, "am-bearer", f.handed()[0].Source)
	require.Equal(t, "am-mtls", f.handed()[1].Source)
	require.NoError(t, f.Shutdown(context.Background()))
	require.NoError(t, <-served)
}

// authority signs certificates for the tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir, name string) *authority {
	a := &authority{t: t, dir: dir}
	a.key = a.newKey()
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	a.write(name, a.cert, a.key)
	return a
}

func (a *authority) issue(name, ip string) {
	cert := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if ip != "" {
		cert.IPAddresses = []net.IP{net.ParseIP(ip)}
	}
	a.write(name, cert, a.newKey())
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	return key
}

func (a *authority) write(name string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	signed, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	for path, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: signed}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, name+path), pem.EncodeToMemory(block), 0o600))
	}
}
