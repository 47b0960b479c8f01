// Package identity makes the node's TLS key. It lives in the memory of this process and nowhere else: whoever holds a
// connection to it talks to the process that was attested, in the boot that was attested.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Identity is a fresh key with a certificate of itself.
type Identity struct {
	certificate tls.Certificate
	publicKey   []byte
}

// New makes an ECDSA key on P-256 and a certificate around it. The certificate proves nothing and does not expire
// (RFC 5280, 4.1.2.5): a verifier believes the key because the node's evidence is bound to it, and a node's clock may
// be wrong when it starts.
func New() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the TLS key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "bedplate node"},
		NotBefore:             time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate: %w", err)
	}
	publicKey, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key: %w", err)
	}
	return &Identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, publicKey}, nil
}

// PublicKey is the SubjectPublicKeyInfo in DER, as the certificate has it.
func (identity *Identity) PublicKey() []byte { return identity.publicKey }

// ServerConfig is TLS 1.3 and nothing else. Every connection shows the certificate: a resumed one would not, and what
// a client pins is checked in the handshake. Clients may show a certificate that clients (PEM) vouch for; with none
// configured nobody is asked for one.
func (identity *Identity) ServerConfig(clients []byte) (*tls.Config, error) {
	config := &tls.Config{
		Certificates:           []tls.Certificate{identity.certificate},
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
	}
	if clients != nil {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(clients) {
			return nil, errors.New("the file of client authorities has no certificate")
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}
