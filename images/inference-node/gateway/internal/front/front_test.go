package front

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOnlyTheInterfaceIsServed(t *testing.T) {
	node := start(t, setup{})
	for _, path := range []string{
		"/", "/v1", "/v2/models", "/health", "/healthz/", "/healthz2", "/props", "/slots", "/metrics", "/.well-known/",
		"/.well-known/attestation/x", "/favicon.ico", "/debug/pprof/",
	} {
		if status, _ := node.get(t, path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if node.requests.Load() != 0 {
		t.Error("the engine was asked")
	}
}

func TestOfTheEngineOnlyWhatARequestAloneDecidesIsServed(t *testing.T) {
	node := start(t, setup{})
	for _, path := range []string{
		"/v1/stream", "/v1/stream?conv_id=a", "/v1/streams/lookup", "/v1/chat/completions/control", "/v1/health", "/v1/slots",
		"/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/v1/modelsx", "/v1/chat", "/v1/Models", "/v1/systemone",
	} {
		if status, _ := node.get(t, path); status != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, status)
		}
		if status, _ := node.post(t, path, "{}"); status != http.StatusNotFound {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	for _, path := range postedPaths {
		if status, _ := node.get(t, path); status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, status)
		}
	}
	if status, _ := node.post(t, "/v1/models", "{}"); status != http.StatusMethodNotAllowed {
		t.Error("POST /v1/models:", status)
	}
	if node.requests.Load() != 0 {
		t.Error("the engine was asked")
	}
	for _, path := range postedPaths {
		if status, _ := node.post(t, path, "{}"); status != 200 {
			t.Errorf("POST %s: %d", path, status)
		}
	}
	for _, path := range []string{"/v1/models", "/v1/models/a", "/v1/models/a/b"} {
		if status, _ := node.get(t, path); status != 200 {
			t.Errorf("GET %s: %d", path, status)
		}
	}
}

func TestReadinessIsAllThatHealthSays(t *testing.T) {
	ready := http.StatusOK
	for _, step := range []struct {
		engine, status int
		word           string
	}{{http.StatusOK, 200, "ready\n"}, {http.StatusServiceUnavailable, 503, "not ready\n"}} {
		ready = step.engine
		node := start(t, setup{engine: func(writer http.ResponseWriter, request *http.Request) {
			if request.URL.Path != "/health" {
				t.Error(request.URL.Path)
			}
			writer.WriteHeader(ready)
			io.WriteString(writer, canary)
		}})
		for range 20 {
			if status, body := node.get(t, "/healthz"); status != step.status || body != step.word {
				t.Fatal(status, body)
			}
		}
		if asked := node.requests.Load(); asked > 3 {
			t.Errorf("the engine was asked %d times", asked)
		}
	}
	gone := start(t, setup{})
	gone.engine.Close()
	if status, body := gone.get(t, "/healthz"); status != 503 || body != "not ready\n" {
		t.Fatal(status, body)
	}
}

func TestEvidenceIsForOneNonce(t *testing.T) {
	node := start(t, setup{evidence: func(nonce []byte) ([]byte, error) { return fmt.Appendf(nil, `"%x"`, nonce), nil }})
	nonce := strings.Repeat("5a", 32)
	if status, body := node.get(t, "/.well-known/attestation?nonce="+nonce); status != 200 || body != `"`+nonce+`"` {
		t.Fatal(status, body)
	}
	for _, query := range []string{"", "?nonce=", "?nonce=zz", "?nonce=" + nonce + "&a=b", "?nonce=" + nonce + ";"} {
		if status, _ := node.get(t, "/.well-known/attestation"+query); status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, status)
		}
	}
	if status, _ := node.post(t, "/.well-known/attestation?nonce="+nonce, ""); status != http.StatusMethodNotAllowed {
		t.Error(status)
	}
	silent := start(t, setup{evidence: func([]byte) ([]byte, error) { return nil, errors.New("TPM " + canary) }})
	if status, body := silent.get(t, "/.well-known/attestation?nonce="+nonce); status != 503 || strings.Contains(body, canary) {
		t.Error(status, body)
	}
}

func TestACredentialIsPassedOnAndItsSecretComesBack(t *testing.T) {
	const path = "/.well-known/attestation/activate"
	node := start(t, setup{})
	for _, step := range []struct {
		path, body string
		status     int
		answer     string
	}{
		{path, "abc", 200, "cba"},
		{path, strings.Repeat("a", maxCredential), 200, strings.Repeat("a", maxCredential)},
		{path, strings.Repeat("a", maxCredential+1), 413, "too large"},
		{path, "", 400, "not acceptable"},
		{path + "?a=b", "abc", 400, "not acceptable"},
		{path + "/", "abc", 400, "not acceptable"},
		{path, "of another machine", 400, "does not accept the credential"},
		{path, "of a broken one", 503, "no evidence now"},
	} {
		status, body := node.post(t, step.path, step.body)
		if status != step.status || !strings.Contains(body, step.answer) || strings.Contains(body, canary) {
			t.Errorf("%s %.20q: %d %s", step.path, step.body, status, body)
		}
	}
	if status, _ := node.get(t, path); status != http.StatusMethodNotAllowed {
		t.Error(status)
	}
	if node.requests.Load() != 0 {
		t.Error("the engine was asked")
	}
}

func TestABugEndsOneRequestAndIsCounted(t *testing.T) {
	node := start(t, setup{evidence: func([]byte) ([]byte, error) { panic(canary) }})
	if response, err := node.client.Get(node.url("/.well-known/attestation?nonce=" + strings.Repeat("5a", 32))); err == nil {
		t.Fatal(response.Status)
	}
	if status, _ := node.get(t, "/healthz"); status != 200 {
		t.Fatal(status)
	}
	if text := counts(t, node); !strings.Contains(text, "bedplate_panics_total 1\n") {
		t.Error(text)
	}
}

func TestTheEngineGetsThePathTheBodyAndNothingElse(t *testing.T) {
	node := start(t, setup{engine: func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		names := make([]string, 0, len(request.Header))
		for name := range request.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		writer.Header().Set("Content-Type", "application/json; charset=utf-8")
		writer.Header().Set("Server", "engine")
		writer.Header().Set("Set-Cookie", "a=b")
		json.NewEncoder(writer).Encode([]any{request.Method, request.RequestURI, request.Host, names, string(body)})
	}})
	request, _ := http.NewRequest(http.MethodPost, node.url("/v1/chat/completions?limit=5"), strings.NewReader(`{"a":1}`))
	for name, value := range map[string]string{
		"Authorization": "Bearer secret", "Cookie": "c=d", "X-Forwarded-For": "1.2.3.4", "Content-Type": "application/json",
		"Accept": "*/*", "Te": "trailers", "Connection": "x-hop", "X-Hop": "1",
	} {
		request.Header.Set(name, value)
	}
	response, err := node.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	wanted := `["POST","/v1/chat/completions?limit=5","engine",["Content-Length","Content-Type"],"{\"a\":1}"]` + "\n"
	if _, body := finish(t)(response, err); body != wanted {
		t.Errorf("%s", body)
	}
	for _, name := range []string{"Server", "Set-Cookie"} {
		if response.Header.Get(name) != "" {
			t.Errorf("%s reaches the client", name)
		}
	}
	if response.Header.Get("Content-Type") != "application/json" || response.Header.Get("Cache-Control") != "no-store" {
		t.Error(response.Header)
	}
	if _, body := node.get(t, "/v1/models"); body != `["GET","/v1/models","engine",[],""]`+"\n" {
		t.Errorf("%s", body)
	}
}

func TestTheEngineIsNotAskedForWhatNobodyMayHave(t *testing.T) {
	node := start(t, setup{})
	for _, body := range []string{`{"cache_prompt":true}`, strings.Repeat(" ", pieceBytes-5) + `{"id_slot":1}`, `{"cache\u005fprompt":1}`, `{"grammar":"root ::= ((a))"}`} {
		status, said := node.post(t, "/v1/chat/completions", body)
		if status != http.StatusBadRequest || !strings.Contains(said, "cache_prompt, id_slot and grammar") {
			t.Error(status, said)
		}
	}
	if node.requests.Load() != 0 {
		t.Error("the engine was asked")
	}
	if status, _ := node.post(t, "/v1/chat/completions", `{"messages":[{"content":"what is cache_prompt?"}]}`); status != 200 {
		t.Error(status)
	}
}

func TestALargeBodyArrivesWhole(t *testing.T) {
	node := start(t, setup{engine: func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		writer.Header().Set("Content-Type", "application/json")
		writer.Write(body)
	}})
	body := `"` + strings.Repeat("0123456789", 1<<19) + `"`
	if status, answer := node.post(t, "/v1/completions", body); status != 200 || answer != body {
		t.Fatal(status, len(answer))
	}
}

func TestEventsPassAsTheyCome(t *testing.T) {
	next := make(chan struct{})
	node := start(t, setup{engine: func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "text/event-stream")
		for number := range 3 {
			fmt.Fprintf(writer, "data: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":%d}}\n\n", number)
			writer.(http.Flusher).Flush()
			<-next
		}
	}})
	response, err := node.client.Post(node.url("/v1/chat/completions"), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	piece := make([]byte, 1000)
	for range 3 {
		if size, err := response.Body.Read(piece); err != nil || !strings.HasSuffix(string(piece[:size]), "\n\n") {
			t.Fatal(err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) != 0 {
		t.Fatal(rest, err)
	}
	if text := counts(t, node); !strings.Contains(text, "{kind=\"prompt\"} 5\n") || !strings.Contains(text, "{kind=\"completion\"} 2\n") {
		t.Error(text)
	}
}

func TestAnErrorOfTheEngineIsToldInOurWords(t *testing.T) {
	for _, step := range []struct {
		engine int
		body   string
		status int
		kind   string
	}{
		{400, `{"error":{"code":400,"message":"` + canary + `","type":"exceed_context_size_error"}}`, 400, "exceed_context_size_error"},
		{400, `{"error":{"message":"` + canary + `","type":"` + canary + `"}}`, 400, "engine_error"},
		{500, canary, 502, "engine_error"}, {503, `{"error":{"type":"unavailable_error"}}`, 503, "unavailable_error"},
		{302, canary, 502, "engine_error"}, {404, "", 404, "engine_error"}, {401, canary, 502, "engine_error"},
		{204, "", 502, "engine_error"},
	} {
		node := start(t, setup{engine: func(writer http.ResponseWriter, _ *http.Request) {
			writer.Header().Set("Location", "http://"+canary+"/")
			writer.WriteHeader(step.engine)
			io.WriteString(writer, step.body)
		}})
		status, body := node.post(t, "/v1/chat/completions", "{}")
		var answer struct {
			Error struct{ Type, Message string }
		}
		if json.Unmarshal([]byte(body), &answer) != nil || status != step.status || answer.Error.Type != step.kind || strings.Contains(body, canary) {
			t.Errorf("%d %s: %d %s", step.engine, step.body, status, body)
		}
	}
	page := start(t, setup{engine: func(writer http.ResponseWriter, _ *http.Request) { io.WriteString(writer, "<p>"+canary) }})
	if status, body := page.get(t, "/v1/models"); status != 502 || strings.Contains(body, canary) {
		t.Error("an answer that is neither JSON nor events", status, body)
	}
}

func TestAnEngineThatIsGoneIsToldAtOnce(t *testing.T) {
	node := start(t, setup{})
	node.engine.Close()
	begin := time.Now()
	if status, _ := node.post(t, "/v1/chat/completions", "{}"); status != http.StatusBadGateway || time.Since(begin) > 5*time.Second {
		t.Fatal(status, time.Since(begin))
	}
}

func TestHalfAnAnswerIsNoWholeOne(t *testing.T) {
	node := start(t, setup{engine: func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(writer, "data: {\"a\":1}\n\n")
		writer.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}})
	response, err := node.client.Post(node.url("/v1/chat/completions"), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Fatalf("%q passes for a whole answer", body)
	}
	if text := counts(t, node); !strings.Contains(text, "bedplate_answers_aborted_total 1\n") {
		t.Error(text)
	}
}

func TestAnAnswerThatEndsWithItsConnectionIsRefused(t *testing.T) {
	node := start(t, setup{engine: func(writer http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(writer).Hijack()
		if err != nil {
			panic(err)
		}
		defer connection.Close()
		io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"half\": ")
	}})
	if status, body := node.post(t, "/v1/chat/completions", "{}"); status != http.StatusBadGateway {
		t.Errorf("status %d: %q passes for a whole answer", status, body)
	}
}

func TestAnEngineThatThinksForTooLongIsLeft(t *testing.T) {
	bounds := DefaultLimits
	bounds.AnswerTime = 100 * time.Millisecond
	left := make(chan struct{})
	node := start(t, setup{limits: bounds, engine: func(_ http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		<-request.Context().Done()
		close(left)
	}})
	if status, _ := node.post(t, "/v1/chat/completions", "{}"); status != http.StatusGatewayTimeout {
		t.Fatal(status)
	}
	<-left
}

func TestTheTimeForThinkingIsNotTheClientsTime(t *testing.T) {
	bounds := DefaultLimits
	bounds.WriteTime = 200 * time.Millisecond
	think := func() { time.Sleep(3 * bounds.WriteTime) }
	node := start(t, setup{
		limits:   bounds,
		evidence: func([]byte) ([]byte, error) { think(); return []byte("evidence"), nil },
		engine: func(writer http.ResponseWriter, request *http.Request) {
			switch request.URL.Path {
			case "/v1/models/error":
				writer.WriteHeader(http.StatusBadRequest)
				writer.(http.Flusher).Flush()
				think()
				io.WriteString(writer, `{"error":{"type":"invalid_request_error"}}`)
			case "/v1/models/events":
				writer.Header().Set("Content-Type", "text/event-stream")
				io.WriteString(writer, "data: {}\n\n")
				writer.(http.Flusher).Flush()
				think()
			default:
				think()
				writer.Header().Set("Content-Type", "application/json")
				io.WriteString(writer, "{}")
			}
		},
	})
	for path, wanted := range map[string]string{
		"/.well-known/attestation?nonce=" + strings.Repeat("5a", 32): "evidence", "/v1/models": "{}",
		"/v1/models/events": "data: {}\n\n", "/v1/models/error": "does not accept",
	} {
		if _, body := node.get(t, path); !strings.Contains(body, wanted) {
			t.Errorf("%s: %q", path, body)
		}
	}
}

func TestAClientThatLeavesEndsTheEnginesWork(t *testing.T) {
	working, left := make(chan struct{}), make(chan struct{})
	node := start(t, setup{engine: func(_ http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		close(working)
		<-request.Context().Done()
		close(left)
	}})
	connection := node.dial(t)
	io.WriteString(connection, "POST /v1/chat/completions HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\n{}")
	<-working
	connection.Close()
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Fatal("the engine works on for nobody")
	}
}

func TestWhatIsBeingAnsweredMayFinishBeforeTheEnd(t *testing.T) {
	working, release := make(chan struct{}), make(chan struct{})
	node := start(t, setup{engine: func(writer http.ResponseWriter, _ *http.Request) {
		close(working)
		<-release
		writer.Header().Set("Content-Type", "application/json")
		io.WriteString(writer, "{}")
	}})
	answered := make(chan string)
	go func() {
		_, body := node.get(t, "/v1/models")
		answered <- body
	}()
	<-working
	node.stop()
	select {
	case <-node.ended:
		t.Error("the gateway ended before an answer had")
	case <-time.After(300 * time.Millisecond):
	}
	if connection, err := net.Dial("tcp", node.address); err == nil {
		connection.Close()
		t.Error("the gateway took a connection while it ended")
	}
	close(release)
	if body := <-answered; body != "{}" {
		t.Errorf("%q", body)
	}
	<-node.ended
}

func TestAnAnswerThatTakesTooLongIsNotWaitedForAtTheEnd(t *testing.T) {
	bounds := DefaultLimits
	bounds.WriteTime = 300 * time.Millisecond
	working, release := make(chan struct{}), make(chan struct{})
	node := start(t, setup{limits: bounds, engine: func(http.ResponseWriter, *http.Request) {
		close(working)
		<-release
	}})
	defer close(release)
	io.WriteString(node.dial(t), "GET /v1/models HTTP/1.1\r\nHost: n\r\n\r\n")
	<-working
	node.stop()
	select {
	case <-node.ended:
	case <-time.After(10 * time.Second):
		t.Error("the gateway waits for an answer that does not come")
	}
}

func TestCountsAreShownToVerifiedClientsOnly(t *testing.T) {
	trusted, other := newAuthority(t), newAuthority(t)
	node := start(t, setup{clients: trusted.pem})
	node.post(t, "/v1/chat/completions", canary)
	status, body := finish(t)(trusted.client(t, x509.ExtKeyUsageClientAuth).Get(node.url("/metrics")))
	if status != 200 || !strings.Contains(body, `bedplate_requests_total{route="inference",status="200"} 1`) || strings.Contains(body, canary) {
		t.Error(status, body)
	}
	if status, _ := node.get(t, "/metrics"); status != http.StatusNotFound {
		t.Error("shown to anybody", status)
	}
	for name, client := range map[string]*http.Client{
		"another authority": other.client(t, x509.ExtKeyUsageClientAuth),
		"a server":          trusted.client(t, x509.ExtKeyUsageServerAuth),
	} {
		if response, err := client.Get(node.url("/metrics")); err == nil {
			t.Error("shown to", name, response.Status)
		}
	}
}

func TestNothingBelowTLS13IsSpoken(t *testing.T) {
	node := start(t, setup{})
	config := anyKey()
	config.MaxVersion = tls.VersionTLS12
	if connection, err := tls.Dial("tcp", node.address, config); err == nil {
		t.Fatalf("%#x", connection.ConnectionState().Version)
	}
	for range 2 {
		config := anyKey()
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		config.NextProtos = []string{"h2", "http/1.1"}
		for range 2 {
			connection, err := tls.Dial("tcp", node.address, config)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(connection, "GET /healthz HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n")
			io.Copy(io.Discard, connection)
			if state := connection.ConnectionState(); state.DidResume || state.NegotiatedProtocol != "http/1.1" {
				t.Fatal("a connection was resumed, or is HTTP/2", state.DidResume, state.NegotiatedProtocol)
			}
			connection.Close()
		}
	}
}

// counts is what /metrics shows.
func counts(t *testing.T, node *node) string {
	t.Helper()
	// The answer may be read before it is counted.
	time.Sleep(50 * time.Millisecond)
	return node.metrics.Text(gauges)
}
