// Package front is what the network sees of the node: evidence, the engine's API, readiness, and counts for those who
// may see them. Nothing else is served. No content of a request or an answer is kept, logged or put into an error.
package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"bedplate.dev/gateway/internal/engine"
	"bedplate.dev/gateway/internal/evidence"
	"bedplate.dev/gateway/internal/limits"
	"bedplate.dev/gateway/internal/metrics"
)

// Limits of what one client, and all of them together, can hold.
type Limits struct {
	Connections        int64         // open at a time
	ConnectionsPerPeer int64         //
	Header             int           // bytes, of the request line and the header
	HeaderTime         time.Duration // for the TLS handshake, and for the header
	Body               int64         // bytes of one request
	Bodies             int64         // bytes of all requests that are held at a time
	BodiesPerPeer      int64         //
	BodyTime           time.Duration // for a whole body
	Running            int64         // requests that the engine works on at a time, fewer than its threads (engine.service)
	RunningPerPeer     int64         //
	Evidence           int64         // requests for evidence at a time
	EvidencePerPeer    int64         // fewer than may wait for the TPM, so that there is room for others
	PerSecond, Burst   float64       // requests of one peer
	AnswerTime         time.Duration // for a whole answer
	WriteTime          time.Duration // for a piece of an answer that the client does not take
	IdleTime           time.Duration // between two requests
	EvidenceTime       time.Duration // for the TPM
}

// DefaultLimits are for a node that one or some hundred clients use.
var DefaultLimits = Limits{
	Connections:        1024,
	ConnectionsPerPeer: 512,
	Header:             16 << 10,
	HeaderTime:         10 * time.Second,
	Body:               16 << 20,
	Bodies:             256 << 20,
	BodiesPerPeer:      128 << 20,
	BodyTime:           30 * time.Second,
	Running:            64,
	RunningPerPeer:     32,
	Evidence:           64,
	EvidencePerPeer:    4,
	PerSecond:          50,
	Burst:              200,
	AnswerTime:         30 * time.Minute,
	WriteTime:          30 * time.Second,
	IdleTime:           60 * time.Second,
	EvidenceTime:       20 * time.Second,
}

// Evidence answers nonces, and credentials.
type Evidence interface {
	Document(ctx context.Context, nonce []byte) ([]byte, error)
	Activate(ctx context.Context, credential []byte) ([]byte, error)
}

// Front serves the network.
type Front struct {
	limits   Limits
	evidence Evidence
	engine   *engine.Client
	metrics  *metrics.Registry
	rate     *limits.Rate
	bodies   *limits.Places
	running  *limits.Places
	attested *limits.Places
	listener *limits.Listener
}

// New makes a front; Serve starts it.
func New(bounds Limits, source Evidence, client *engine.Client, registry *metrics.Registry) *Front {
	return &Front{
		limits:   bounds,
		evidence: source,
		engine:   client,
		metrics:  registry,
		rate:     limits.NewRate(bounds.PerSecond, bounds.Burst),
		bodies:   limits.NewPlaces(bounds.Bodies, bounds.BodiesPerPeer),
		running:  limits.NewPlaces(bounds.Running, bounds.RunningPerPeer),
		attested: limits.NewPlaces(bounds.Evidence, bounds.EvidencePerPeer),
	}
}

// Serve serves connections of listener until it is closed or ctx ends; then what is being answered may finish, for a time,
// before Serve returns.
func (front *Front) Serve(ctx context.Context, listener *limits.Listener, config *tls.Config) error {
	front.listener = listener
	server := &http.Server{
		Handler:           http.HandlerFunc(front.serve),
		MaxHeaderBytes:    front.limits.Header,
		ReadHeaderTimeout: front.limits.HeaderTime,
		IdleTimeout:       front.limits.IdleTime,
		// net/http's messages have addresses, and a panic's may have anything.
		ErrorLog: log.New(io.Discard, "", 0),
		// Not nil: no HTTP/2.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		// No "OPTIONS *" of net/http's own.
		DisableGeneralOptionsHandler: true,
	}
	finished := make(chan struct{})
	forget := context.AfterFunc(ctx, func() {
		defer close(finished)
		grace, cancel := context.WithTimeout(context.Background(), front.limits.WriteTime)
		defer cancel()
		server.Shutdown(grace)
	})
	defer forget()
	err := server.Serve(tls.NewListener(listener, config))
	if errors.Is(err, http.ErrServerClosed) {
		<-finished
		return nil
	}
	return err
}

// exchange is one request and its answer.
type exchange struct {
	http.ResponseWriter
	control *http.ResponseController
	request *http.Request
	limits  *Limits
	peer    string
	status  int
	body    [][]byte
	held    []func() // gives back what was taken
}

// take takes places until the exchange has ended.
func (exchange *exchange) take(places *limits.Places, amount int64) bool {
	if !places.Take(exchange.peer, amount) {
		return false
	}
	exchange.held = append(exchange.held, func() { places.Give(exchange.peer, amount) })
	return true
}

// end leaves nothing of a body for whoever gets its memory next, and gives back what the exchange took. Not before the
// answer is out: a client that does not take it would else hold more than its share.
func (exchange *exchange) end() {
	for _, piece := range exchange.body {
		clear(piece)
	}
	for _, give := range exchange.held {
		give()
	}
}

func (front *Front) serve(writer http.ResponseWriter, request *http.Request) {
	start := time.Now()
	exchange := &exchange{
		ResponseWriter: writer,
		control:        http.NewResponseController(writer),
		request:        request,
		limits:         &front.limits,
		peer:           limits.Peer(request.RemoteAddr),
	}
	defer exchange.end()
	exchange.allowWriting()
	if request.ContentLength != 0 {
		// Also for a body that nobody wants: net/http waits for it before it closes the connection.
		exchange.control.SetReadDeadline(start.Add(front.limits.BodyTime))
	}
	writer.Header().Set("Cache-Control", "no-store")
	defer func() {
		// Of a panic nothing is told but that there was one: its value may hold content.
		problem := recover()
		if problem != nil && problem != http.ErrAbortHandler {
			front.metrics.Panicked()
		}
		front.metrics.Request(route(request.URL.Path), exchange.status, time.Since(start))
		if problem != nil {
			panic(http.ErrAbortHandler)
		}
	}()
	if refused := front.answer(exchange); refused != nil {
		exchange.refuse(refused)
	}
}

func (front *Front) answer(exchange *exchange) *refusal {
	request := exchange.request
	if !front.rate.Allow(exchange.peer, time.Now()) {
		return tooMany
	}
	if refused := check(request); refused != nil {
		return refused
	}
	switch route(request.URL.Path) {
	case metrics.Attestation:
		if request.URL.Path == activationPath {
			return front.activate(exchange)
		}
		return front.attest(exchange)
	case metrics.Health:
		return front.health(exchange)
	case metrics.Metrics:
		return front.count(exchange)
	case metrics.Inference:
		return front.infer(exchange)
	}
	return notFound
}

func (front *Front) attest(exchange *exchange) *refusal {
	nonce, err := evidence.ParseNonce(exchange.request.URL.RawQuery)
	if err != nil {
		return badNonce
	}
	if !exchange.take(front.attested, 1) {
		return busy
	}
	ctx, cancel := context.WithTimeout(exchange.request.Context(), front.limits.EvidenceTime)
	defer cancel()
	document, err := front.evidence.Document(ctx, nonce)
	if err != nil {
		return noEvidence
	}
	exchange.send(http.StatusOK, "application/json", document)
	return nil
}

// activate lets a verifier find out whether the attestation key is in the TPM that a certificate is of.
func (front *Front) activate(exchange *exchange) *refusal {
	size := exchange.request.ContentLength
	if size > maxCredential {
		return tooLarge
	}
	if refused := front.receive(exchange, size); refused != nil {
		return refused
	}
	if !exchange.take(front.attested, 1) {
		return busy
	}
	ctx, cancel := context.WithTimeout(exchange.request.Context(), front.limits.EvidenceTime)
	defer cancel()
	secret, err := front.evidence.Activate(ctx, bytes.Join(exchange.body, nil))
	switch {
	case errors.Is(err, evidence.ErrNotActivated):
		return badCredential
	case err != nil:
		return noEvidence
	}
	exchange.send(http.StatusOK, "application/octet-stream", secret)
	return nil
}

func (front *Front) health(exchange *exchange) *refusal {
	if exchange.request.URL.RawQuery != "" {
		return badTarget
	}
	status, word := http.StatusServiceUnavailable, "not ready\n"
	if front.engine.Ready(exchange.request.Context()) {
		status, word = http.StatusOK, "ready\n"
	}
	exchange.send(status, "text/plain", []byte(word))
	return nil
}

// count shows the counts to clients whose certificate the handshake has verified. To others they do not exist.
func (front *Front) count(exchange *exchange) *refusal {
	if exchange.request.TLS == nil || len(exchange.request.TLS.VerifiedChains) == 0 {
		return notFound
	}
	text := front.metrics.Text(metrics.Gauges{
		Connections:        front.listener.Open(),
		RefusedConnections: front.listener.Refused(),
		Running:            front.running.Held(),
	})
	exchange.send(http.StatusOK, "text/plain; version=0.0.4", []byte(text))
	return nil
}

// allowWriting gives the client its time from now, however long the answer was thought about.
func (exchange *exchange) allowWriting() {
	exchange.control.SetWriteDeadline(time.Now().Add(exchange.limits.WriteTime))
}

func (exchange *exchange) start(status int, contentType string) {
	exchange.allowWriting()
	exchange.status = status
	exchange.Header().Set("Content-Type", contentType)
	exchange.WriteHeader(status)
}

func (exchange *exchange) send(status int, contentType string, body []byte) {
	exchange.Header().Set("Content-Length", strconv.Itoa(len(body)))
	exchange.start(status, contentType)
	exchange.Write(body)
	exchange.control.Flush()
}

// refuse answers in the form of OpenAI's API, so that its clients tell a person what is wrong.
func (exchange *exchange) refuse(refused *refusal) {
	body, err := json.Marshal(map[string]any{
		"error": map[string]any{"message": refused.message, "type": refused.kind, "param": nil, "code": nil},
	})
	if err != nil {
		panic(err)
	}
	if refused.hangUp {
		exchange.Header().Set("Connection", "close")
	}
	if refused.status == http.StatusTooManyRequests || refused.status == http.StatusServiceUnavailable {
		exchange.Header().Set("Retry-After", "1")
	}
	exchange.send(refused.status, "application/json", body)
}
