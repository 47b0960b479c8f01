package front

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"bedplate.dev/gateway/internal/bodies"
	"bedplate.dev/gateway/internal/metrics"
)

// A refusal says why a request is not answered, in words of ours only.
type refusal struct {
	status        int
	kind, message string
	// Whether what follows on the connection cannot be trusted to be a request.
	hangUp bool
}

// What a request is counted as whose client does not wait for the answer: no status of HTTP says that (nginx has this one).
const statusClientGone = 499

var (
	notFound      = &refusal{http.StatusNotFound, "not_found_error", "There is nothing here.", false}
	noEndpoint    = &refusal{http.StatusNotFound, "not_found_error", "This part of the engine's API is not served.", true}
	wrongMethod   = &refusal{http.StatusMethodNotAllowed, "invalid_request_error", "This method is not for this path.", true}
	wrongVersion  = &refusal{http.StatusHTTPVersionNotSupported, "invalid_request_error", "HTTP/1.1 is expected.", true}
	noLength      = &refusal{http.StatusLengthRequired, "invalid_request_error", "A body needs a Content-Length and no other framing.", true}
	badTarget     = &refusal{http.StatusBadRequest, "invalid_request_error", "The request's target or framing is not acceptable.", true}
	tooLarge      = &refusal{http.StatusRequestEntityTooLarge, "invalid_request_error", "The request is too large.", true}
	tooSlow       = &refusal{http.StatusRequestTimeout, "invalid_request_error", "The request did not arrive whole, or not in time.", true}
	tooMany       = &refusal{http.StatusTooManyRequests, "rate_limit_error", "Too many requests.", true}
	busy          = &refusal{http.StatusTooManyRequests, "rate_limit_error", "All places are taken.", true}
	badNonce      = &refusal{http.StatusBadRequest, "invalid_request_error", "The query is nonce= with 16 to 64 bytes in lower-case hexadecimal, and nothing else.", false}
	badCredential = &refusal{http.StatusBadRequest, "invalid_request_error", "The TPM does not accept the credential.", false}
	badMember     = &refusal{http.StatusBadRequest, "invalid_request_error", "The members cache_prompt, id_slot and grammar, names of members with escapes, and zero bytes are not accepted.", false}
	tooDeep       = &refusal{http.StatusBadRequest, "invalid_request_error", fmt.Sprintf("Objects and arrays of the request are more than %d deep in each other.", bodies.MaxDepth), false}
	noEvidence    = &refusal{http.StatusServiceUnavailable, "unavailable_error", "There is no evidence now.", false}
	clientGone    = &refusal{statusClientGone, "invalid_request_error", "The client left before the answer.", true}
	engineGone    = &refusal{http.StatusBadGateway, "engine_error", "The engine does not answer.", false}
	engineTooLong = &refusal{http.StatusGatewayTimeout, "engine_error", "The engine took too long.", false}
	broken        = &refusal{http.StatusInternalServerError, "internal_error", "Something is broken.", true}
)

// Where a client asks for evidence (RFC 8615).
const attestationPath = "/.well-known/attestation"

// Where it asks whether the attestation key is in the TPM of a certificate, in a body of at most so many bytes.
const (
	activationPath = attestationPath + "/activate"
	maxCredential  = 1 << 10
)

// Below inferencePrefix is the engine's API. Of that, what a request alone decides is answered. llama-server has more there:
// it hands out what it streams to others, and lets one client interfere with another's request.
const (
	inferencePrefix = "/v1/"
	modelsPath      = "/v1/models"
)

var postedPaths = []string{
	"/v1/chat/completions", "/v1/chat/completions/input_tokens", "/v1/completions", "/v1/embeddings", "/v1/messages",
	"/v1/messages/count_tokens", "/v1/rerank", "/v1/responses", "/v1/responses/input_tokens",
}

// Segments of a path in plain characters: nothing that one program decodes and another does not, nor a dot segment.
var inferencePath = regexp.MustCompile(`^/v1(/[A-Za-z0-9_:-][A-Za-z0-9._:-]*)+$`)

// A query in the characters that need no escape and in escapes, shorter than any that the API has.
var plainQuery = regexp.MustCompile(`^[A-Za-z0-9._~=&%+,:\[\]-]{0,512}$`)

// route is the part of the interface that a path belongs to.
func route(path string) metrics.Route {
	switch {
	case path == attestationPath, path == activationPath:
		return metrics.Attestation
	case path == "/healthz":
		return metrics.Health
	case path == "/metrics":
		return metrics.Metrics
	case strings.HasPrefix(path, inferencePrefix):
		return metrics.Inference
	}
	return metrics.Other
}

// check refuses what no client of ours sends and what two readers could take for different requests (RFC 9112, 11.2).
// net/http has refused before: contradictory or malformed lengths, unknown transfer codings, broken header lines and a
// missing Host.
func check(request *http.Request) *refusal {
	switch {
	case request.ProtoMajor != 1 || request.ProtoMinor != 1:
		return wrongVersion
	case len(request.TransferEncoding) > 0 || request.ContentLength < 0:
		// Chunked, alone or beside a Content-Length, which net/http would ignore.
		return noLength
	case request.URL.IsAbs() || request.URL.Host != "" || request.URL.Opaque != "" || request.URL.RawPath != "":
		return badTarget
	case request.Header.Get("Upgrade") != "" || len(request.Header.Values("Transfer-Encoding")) > 0:
		return badTarget
	case !plainQuery.MatchString(request.URL.RawQuery) || request.URL.ForceQuery:
		return badTarget
	}
	switch route(request.URL.Path) {
	case metrics.Other:
		return withoutBody(request, notFound)
	case metrics.Inference:
		if !inferencePath.MatchString(request.URL.Path) {
			return badTarget
		}
		posted := slices.Contains(postedPaths, request.URL.Path)
		if posted && request.Method == http.MethodPost {
			return nil
		}
		if posted {
			return wrongMethod
		}
		if request.URL.Path != modelsPath && !strings.HasPrefix(request.URL.Path, modelsPath+"/") {
			return noEndpoint
		}
	case metrics.Attestation:
		if request.URL.Path == activationPath {
			return checkActivation(request)
		}
	case metrics.Health, metrics.Metrics:
	}
	if request.Method != http.MethodGet {
		return wrongMethod
	}
	return withoutBody(request, nil)
}

func checkActivation(request *http.Request) *refusal {
	switch {
	case request.Method != http.MethodPost:
		return wrongMethod
	case request.URL.RawQuery != "" || request.ContentLength == 0:
		return badTarget
	}
	return nil
}

func withoutBody(request *http.Request, otherwise *refusal) *refusal {
	if request.ContentLength > 0 {
		return badTarget
	}
	return otherwise
}
