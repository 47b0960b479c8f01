package front

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"bedplate.dev/gateway/internal/bodies"
	"bedplate.dev/gateway/internal/engine"
	"bedplate.dev/gateway/internal/usage"
)

const (
	eventStream = "text/event-stream"
	jsonType    = "application/json"
	pieceBytes  = 32 << 10
)

// infer passes a request on to the engine. A body is taken in whole before the engine hears of it, so that a client
// that sends slowly holds none of the engine's places.
func (front *Front) infer(exchange *exchange) *refusal {
	request := exchange.request
	size := request.ContentLength
	if size > front.limits.Body {
		return tooLarge
	}
	if refused := front.receive(exchange, size); refused != nil {
		return refused
	}
	switch bodies.Find(exchange.body) {
	case bodies.None:
	case bodies.Deep:
		return tooDeep
	default:
		return badMember
	}
	if !exchange.take(front.running, 1) {
		return busy
	}
	ctx, cancel := context.WithTimeout(request.Context(), front.limits.AnswerTime)
	defer cancel()
	contentType, _, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	if err != nil || contentType != jsonType {
		contentType = "" // the engine decides what it makes of it
	}
	answer, err := front.engine.Do(ctx, engine.Request{
		Method: request.Method, Path: request.URL.Path, Query: request.URL.RawQuery, ContentType: contentType, Body: exchange.body,
	})
	if err != nil {
		return unanswered(request, err)
	}
	defer answer.Body.Close()
	return front.pass(exchange, answer)
}

// receive takes a body in, as far as it came: what is only announced costs nothing.
func (front *Front) receive(exchange *exchange, size int64) *refusal {
	if size == 0 {
		return nil
	}
	for size > 0 {
		piece := min(size, pieceBytes)
		if !exchange.take(front.bodies, piece) {
			return busy
		}
		received := make([]byte, piece)
		exchange.body = append(exchange.body, received)
		if _, err := io.ReadFull(exchange.request.Body, received); err != nil {
			return tooSlow
		}
		size -= piece
	}
	exchange.control.SetReadDeadline(time.Time{})
	return nil
}

func unanswered(request *http.Request, err error) *refusal {
	var timeout net.Error
	switch {
	case request.Context().Err() != nil:
		return clientGone
	case errors.As(err, &timeout) && timeout.Timeout():
		return engineTooLong
	}
	return engineGone
}

// pass hands an answer over piece by piece as it comes.
func (front *Front) pass(exchange *exchange, answer *http.Response) *refusal {
	if answer.StatusCode != http.StatusOK {
		return failed(answer)
	}
	if answer.ContentLength < 0 && len(answer.TransferEncoding) == 0 {
		// It ends with the connection, so half of it would look like all.
		return engineGone
	}
	contentType, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || (contentType != jsonType && contentType != eventStream) {
		return engineGone
	}
	counter := usage.NewScanner(contentType == eventStream)
	exchange.start(http.StatusOK, contentType)
	piece := make([]byte, pieceBytes)
	defer clear(piece)
	for {
		size, err := answer.Body.Read(piece)
		if size > 0 {
			counter.Write(piece[:size])
			if !exchange.piece(piece[:size]) {
				front.abort()
			}
		}
		if errors.Is(err, io.EOF) {
			exchange.allowWriting() // net/http writes the end
			front.metrics.Tokens(counter.Tokens())
			return nil
		}
		if err != nil {
			front.abort()
		}
	}
}

// piece writes to the client at once. It says whether the client took it.
func (exchange *exchange) piece(data []byte) bool {
	exchange.allowWriting()
	_, err := exchange.Write(data)
	return err == nil && exchange.control.Flush() == nil
}

// abort breaks the connection, so that half an answer is not taken for a whole one.
func (front *Front) abort() {
	front.metrics.Aborted()
	panic(http.ErrAbortHandler)
}

// failed is an error of the engine in our words. Of the status, what a client can act on is kept.
func failed(answer *http.Response) *refusal {
	kind, message := engine.ErrorType(answer.Body)
	status := http.StatusBadGateway
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusNotImplemented,
		http.StatusServiceUnavailable:
		status = answer.StatusCode
	}
	return &refusal{status, kind, message, false}
}
