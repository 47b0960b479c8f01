package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bedplate.dev/gateway/internal/engine"
	"bedplate.dev/gateway/internal/evidence"
	"bedplate.dev/gateway/internal/identity"
	"bedplate.dev/gateway/internal/limits"
	"bedplate.dev/gateway/internal/metrics"
)

const canary = "canary-7f3a"

// node is a front with an engine and evidence of the test's own.
type node struct {
	address  string
	requests atomic.Int64 // that the engine saw
	engine   *http.Server
	metrics  *metrics.Registry
	front    *Front
	client   *http.Client
	stop     context.CancelFunc
	ended    chan struct{} // closed when Serve has returned
}

type evidenceFunc func(nonce []byte) ([]byte, error)

func (function evidenceFunc) Document(_ context.Context, nonce []byte) ([]byte, error) {
	return function(nonce)
}

// Activate answers what is asked with the same, backwards.
func (function evidenceFunc) Activate(_ context.Context, credential []byte) ([]byte, error) {
	switch string(credential) {
	case "of another machine":
		return nil, evidence.ErrNotActivated
	case "of a broken one":
		return nil, errors.New("TPM " + canary)
	}
	answer := bytes.Clone(credential)
	slices.Reverse(answer)
	return answer, nil
}

type setup struct {
	limits   Limits
	engine   http.HandlerFunc
	evidence evidenceFunc
	clients  []byte // authorities, PEM
}

func start(t *testing.T, setup setup) *node {
	t.Helper()
	if setup.limits == (Limits{}) {
		setup.limits = DefaultLimits
		setup.limits.Burst, setup.limits.PerSecond = 1e6, 1e6
	}
	if setup.engine == nil {
		setup.engine = func(writer http.ResponseWriter, _ *http.Request) {
			writer.Header().Set("Content-Type", "application/json")
			io.WriteString(writer, "{}")
		}
	}
	node := &node{metrics: metrics.New()}
	folder, err := os.MkdirTemp("", "front") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	inner, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	node.engine = &http.Server{Handler: http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		node.requests.Add(1)
		setup.engine(writer, request)
	})}
	go node.engine.Serve(inner)
	t.Cleanup(func() { node.engine.Close() })

	self, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	config, err := self.ServerConfig(setup.clients)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node.address = outer.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	node.stop, node.ended = stop, make(chan struct{})
	var served error
	node.front = New(setup.limits, setup.evidence, engine.New(socket), node.metrics)
	go func() {
		defer close(node.ended)
		served = node.front.Serve(ctx, limits.NewListener(outer, setup.limits.Connections, setup.limits.ConnectionsPerPeer), config)
	}()
	t.Cleanup(func() {
		node.engine.Close()
		node.client.CloseIdleConnections()
		stop()
		if <-node.ended; served != nil {
			t.Error(served)
		}
	})
	node.client = &http.Client{Transport: &http.Transport{TLSClientConfig: anyKey()}, Timeout: 20 * time.Second}
	return node
}

// anyKey is for tests of what comes after the handshake; whose key it is, tests/unit/evidence asks.
func anyKey() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// from is a client with an address of its own.
func (node *node) from(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{TLSClientConfig: anyKey(), DialContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func (node *node) url(path string) string { return "https://" + node.address + path }

// get is status and body of an answer.
func (node *node) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return finish(t)(node.client.Get(node.url(path)))
}

func (node *node) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	return finish(t)(node.client.Post(node.url(path), "application/json", strings.NewReader(body)))
}

func finish(t *testing.T) func(response *http.Response, err error) (int, string) {
	t.Helper()
	return func(response *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
}

// dial is a connection after its handshake.
func (node *node) dial(t *testing.T) *tls.Conn {
	t.Helper()
	connection, err := tls.Dial("tcp", node.address, anyKey())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	connection.SetDeadline(time.Now().Add(20 * time.Second))
	return connection
}

// raw sends bytes as they are and returns the status of each answer until the node closes the connection: since it does
// not trust it any more, or since the last request asks for it.
func (node *node) raw(t *testing.T, text string) []int {
	t.Helper()
	connection := node.dial(t)
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	var statuses []int
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			return statuses
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), canary) {
			t.Errorf("the answer repeats the request: %s", body)
		}
		statuses = append(statuses, response.StatusCode)
	}
}

// authority is a certificate authority of the test's own.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, certificate := issue(t, nil, x509.ExtKeyUsageClientAuth)
	return &authority{key, certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})}
}

func (authority *authority) client(t *testing.T, usage x509.ExtKeyUsage) *http.Client {
	t.Helper()
	key, certificate := issue(t, authority, usage)
	config := anyKey()
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func issue(t *testing.T, parent *authority, usage x509.ExtKeyUsage) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: parent == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	signer, above := key, template
	if parent != nil {
		signer, above = parent.key, parent.certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}
