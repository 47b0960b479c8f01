// Package engine speaks to the inference engine through its unix socket. The engine is a plug: any server of OpenAI's
// API over HTTP/1.1 whose /health answers 200 when it is ready.
package engine

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	dialTimeout   = 2 * time.Second
	healthTimeout = 2 * time.Second
	// A prompt may be read for long before the first token of the answer.
	headerTimeout     = 10 * time.Minute
	maxResponseHeader = 64 << 10
	maxErrorBody      = 64 << 10
	// How long an answer to "is it ready" is believed.
	readyFor = time.Second
)

// Client calls one engine.
type Client struct {
	transport *http.Transport
	mutex     sync.Mutex
	ready     bool
	checked   time.Time
}

// New makes a client of the engine behind a unix socket. The socket need not be there yet.
func New(socket string) *Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &Client{transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
		// Every request has a connection of its own, so what an engine says beyond an answer is an answer to nobody.
		// Unlike DisableKeepAlives this does not ask the engine to close: one that does so while it is still being
		// sent a body takes its answer along.
		MaxIdleConnsPerHost:    -1,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
	}}
}

// Request is what is passed on: the path below /v1 with its query, and of the header the content type alone.
type Request struct {
	Method, Path, Query, ContentType string
	Body                             [][]byte
}

// Do sends a request. The caller closes the body of the response; from then on, or after an error, nobody reads the body
// of the request any more.
func (client *Client) Do(ctx context.Context, request Request) (*http.Response, error) {
	target := "http://engine" + request.Path
	if request.Query != "" {
		target += "?" + request.Query
	}
	sent := &body{pieces: slices.Clone(request.Body)}
	outgoing, err := http.NewRequestWithContext(ctx, request.Method, target, sent)
	if err != nil {
		return nil, err
	}
	for _, piece := range request.Body {
		outgoing.ContentLength += int64(len(piece))
	}
	if outgoing.ContentLength == 0 {
		outgoing.Body = http.NoBody
	}
	if request.ContentType != "" {
		outgoing.Header.Set("Content-Type", request.ContentType)
	}
	// Empty: net/http would name itself.
	outgoing.Header.Set("User-Agent", "")
	response, err := client.transport.RoundTrip(outgoing)
	if err != nil {
		sent.Close()
		return nil, err
	}
	response.Body = &answer{response.Body, sent}
	return response, nil
}

// body is that of a request. net/http may read it after it has given an answer or an error (http.RoundTripper), when
// its memory may be another's already; hence nothing can be read from one that is closed.
type body struct {
	mutex  sync.Mutex
	pieces net.Buffers
	closed bool
}

func (body *body) Read(into []byte) (int, error) {
	body.mutex.Lock()
	defer body.mutex.Unlock()
	if body.closed {
		return 0, net.ErrClosed
	}
	return body.pieces.Read(into)
}

func (body *body) Close() error {
	body.mutex.Lock()
	defer body.mutex.Unlock()
	body.closed = true
	return nil
}

// answer is the body of a response.
type answer struct {
	io.ReadCloser
	request *body
}

func (answer *answer) Close() error {
	answer.request.Close()
	return answer.ReadCloser.Close()
}

// Ready says whether the engine says that it is ready. Whoever asks often gets an answer that is a second old.
func (client *Client) Ready(ctx context.Context) bool {
	client.mutex.Lock()
	defer client.mutex.Unlock()
	if time.Since(client.checked) < readyFor {
		return client.ready
	}
	// The answer is for all who ask meanwhile: one who leaves does not make the engine unready.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	response, err := client.Do(ctx, Request{Method: http.MethodGet, Path: "/health"})
	client.ready = err == nil && response.StatusCode == http.StatusOK
	if err == nil {
		io.Copy(io.Discard, io.LimitReader(response.Body, maxErrorBody))
		response.Body.Close()
	}
	client.checked = time.Now()
	return client.ready
}

// The kinds of error that an engine may name. Its messages may quote what it was asked, so none is passed on.
var errorTypes = map[string]string{
	"invalid_request_error":     "The engine does not accept the request.",
	"exceed_context_size_error": "The request does not fit into the model's context.",
	"not_found_error":           "The engine has no such endpoint or model.",
	"not_supported_error":       "The engine does not support this.",
	"unavailable_error":         "The engine is not ready.",
}

// ErrorType is the kind of error in an answer, if it is one that is known, and what to say of it.
func ErrorType(body io.Reader) (kind, message string) {
	var answer struct {
		Error struct {
			Type string `json:"type"`
		} `json:"error"`
	}
	data, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	if err == nil && json.Unmarshal(data, &answer) == nil {
		if message, known := errorTypes[answer.Error.Type]; known {
			return answer.Error.Type, message
		}
	}
	return "engine_error", "The engine answered with an error."
}
