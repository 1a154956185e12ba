package controlplane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// writeCertificates makes an authority with the CA bit (the controller manager refuses a self-signed serving certificate),
// the serving certificate, and the key that signs service accounts' tokens.
func (c *ControlPlane) writeCertificates(context.Context) error {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cluster"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	serving := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
		NotBefore:   authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, err := c.certificate("ca", authority, authority, nil)
	if err != nil {
		return err
	}
	if _, err = c.certificate("serving", serving, authority, key); err != nil {
		return err
	}
	_, err = c.key("accounts")
	return err
}

// certificate writes <name>.crt and <name>.key; a nil signer signs itself.
func (c *ControlPlane) certificate(name string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, error) {
	key, err := c.key(name)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return key, c.writePEM(name+".crt", "CERTIFICATE", der)
}

func (c *ControlPlane) key(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, c.writePEM(name+".key", "EC PRIVATE KEY", der)
}

func (c *ControlPlane) writePEM(name, kind string, der []byte) error {
	return os.WriteFile(c.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// identities are who speaks to the API server, with user and group. The roles of the components are Kubernetes' own.
var identities = map[string][2]string{
	"admin":              {"admin", "system:masters"},
	"kubelet":            {"kwok", "system:masters"},
	"controller-manager": {"system:kube-controller-manager", ""},
	"scheduler":          {"system:kube-scheduler", ""},
	"proxy":              {"system:kube-proxy", ""},
}

// writeIdentities writes the tokens the API server knows, and a kubeconfig for each.
func (c *ControlPlane) writeIdentities(context.Context) error {
	c.tokens = map[string]string{}
	var table strings.Builder
	for name, who := range identities {
		c.tokens[name] = rand.Text()
		fmt.Fprintf(&table, "%s,%s,%s,%q\n", c.tokens[name], who[0], name, who[1])
		if _, err := c.writeKubeconfig(name, c.URL, c.tokens[name]); err != nil {
			return err
		}
	}
	c.Kubeconfig = c.path("admin.kubeconfig")
	return os.WriteFile(c.path("tokens.csv"), []byte(table.String()), 0o600)
}

func (c *ControlPlane) writeKubeconfig(name, url, token string) (string, error) {
	path := c.path(name + ".kubeconfig")
	return path, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: cluster
clusters: [{name: cluster, cluster: {server: %q, certificate-authority: %q, tls-server-name: localhost}}]
users: [{name: user, user: {token: %q}}]
contexts: [{name: cluster, context: {cluster: cluster, user: user}}]
`, url, c.path("ca.crt"), token), 0o600)
}
