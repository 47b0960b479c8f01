package front

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bedplate.dev/gateway/internal/limits"
	"bedplate.dev/gateway/internal/metrics"
)

var gauges = metrics.Gauges{}

// A second request hidden behind the first: whoever frames the first in another way sees it.
const hidden = "GET /v1/models HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"

// What is sent, and the statuses that are answered; a status of net/http's own is pinned like one of ours. Where the
// framing is in doubt, there is one answer and the connection ends.
func TestRequestsThatTwoReadersCouldTakeForDifferentOnesAreRefused(t *testing.T) {
	post := "POST /v1/completions HTTP/1.1\r\nHost: n\r\n"
	for name, step := range map[string]struct {
		text     string
		statuses []int
	}{
		"CL and TE":               {post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{411}},
		"TE and CL":               {post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + hidden, []int{411}},
		"TE alone":                {post + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{411}},
		"TE on a GET":             {"GET /v1/models HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{411}},
		"TE twice":                {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{501}},
		"TE with a list":          {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hidden, []int{501}},
		"TE identity":             {post + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{501}},
		"TE unknown":              {post + "Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{501}},
		"TE with a tab":           {post + "Transfer-Encoding:\tchunked\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{411}},
		"TE after a space":        {post + "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{400}},
		"TE with a vertical tab":  {post + "Transfer-Encoding: \x0bchunked\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{400}},
		"TE on a folded line":     {post + "X: y\r\n Transfer-Encoding: chunked\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", []int{200}},
		"CL twice, different":     {post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} " + hidden, []int{400}},
		"CL as a list":            {post + "Content-Length: 2, 2\r\n\r\n{}" + hidden, []int{400}},
		"CL with a sign":          {post + "Content-Length: +2\r\n\r\n{}" + hidden, []int{400}},
		"CL negative":             {post + "Content-Length: -2\r\n\r\n{}" + hidden, []int{400}},
		"CL in hexadecimal":       {post + "Content-Length: 0x2\r\n\r\n{}" + hidden, []int{400}},
		"CL empty":                {post + "Content-Length:\r\n\r\n" + hidden, []int{400}},
		"CL too large for a word": {post + "Content-Length: 99999999999999999999\r\n\r\n{}" + hidden, []int{400}},
		"a body of a GET":         {"GET /v1/models HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{400}},
		"a body of nothing":       {"GET /" + canary + " HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{400}},
		"no Host":                 {"GET /v1/models HTTP/1.1\r\n\r\n" + hidden, []int{400}},
		"two Hosts":               {"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + hidden, []int{400}},
		"a NUL in a value":        {"GET /v1/models HTTP/1.1\r\nHost: n\r\nX: a\x00b\r\n\r\n" + hidden, []int{400}},
		"a CR in a value":         {"GET /v1/models HTTP/1.1\r\nHost: n\r\nX: a\rb\r\n\r\n" + hidden, []int{400}},
		"a space in a name":       {"GET /v1/models HTTP/1.1\r\nHost: n\r\nX y: z\r\n\r\n" + hidden, []int{400}},
		"a line without a colon":  {"GET /v1/models HTTP/1.1\r\nHost: n\r\n" + canary + "\r\n\r\n" + hidden, []int{400}},
		"HTTP/1.0":                {"GET /v1/models HTTP/1.0\r\nHost: n\r\n\r\n" + hidden, []int{505}},
		"HTTP/1.0 kept alive":     {"GET /v1/models HTTP/1.0\r\nHost: n\r\nConnection: keep-alive\r\n\r\n" + hidden, []int{505}},
		"HTTP/0.9":                {"GET /v1/models\r\n\r\n" + hidden, []int{400}},
		"HTTP/1.2":                {"GET /v1/models HTTP/1.2\r\nHost: n\r\n\r\n" + hidden, []int{505}},
		"HTTP/2":                  {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{505}},
		"an absolute target":      {"GET https://n/v1/models HTTP/1.1\r\nHost: n\r\n\r\n" + hidden, []int{400}},
		"a proxy's method":        {"CONNECT n:443 HTTP/1.1\r\nHost: n:443\r\n\r\n" + hidden, []int{400}},
		"the server's options":    {"OPTIONS * HTTP/1.1\r\nHost: n\r\n\r\n" + hidden, []int{404, 200}},
		"an upgrade":              {"GET /v1/models HTTP/1.1\r\nHost: n\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + hidden, []int{400}},
		"an expectation":          {post + "Expect: " + canary + "\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{417}},
		"another method":          {"PUT /v1/models HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\n{}" + hidden, []int{405}},
		"a made-up method":        {"GET\x01 /v1/models HTTP/1.1\r\nHost: n\r\n\r\n" + hidden, []int{400}},
		"not HTTP at all":         {"\x16\x03\x01" + canary + "\r\n\r\n", []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := start(t, setup{})
			statuses := node.raw(t, step.text)
			if !slices.Equal(statuses, step.statuses) {
				t.Errorf("answered %v, not %v", statuses, step.statuses)
			}
			reached := int64(0)
			for _, status := range statuses {
				if status == http.StatusOK {
					reached++
				}
			}
			if node.requests.Load() != reached {
				t.Errorf("%d requests reached the engine", node.requests.Load())
			}
		})
	}
}

// One reader is enough for these: the engine gets a request that we wrote anew. They are pinned, since net/http accepts
// what other programs do not.
func TestWhatIsAcceptedIsWrittenAnew(t *testing.T) {
	post := "POST /v1/completions HTTP/1.1\r\nHost: n\r\n"
	for name, text := range map[string]string{
		"CL twice, the same":           post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"lines that end with LF alone": "POST /v1/completions HTTP/1.1\nHost: n\nContent-Length: 2\n\n{}",
	} {
		node := start(t, setup{})
		if statuses := node.raw(t, text+hidden); !slices.Equal(statuses, []int{200, 200}) || node.requests.Load() != 2 {
			t.Errorf("%s: %v, %d requests", name, statuses, node.requests.Load())
		}
	}
}

// Each of these ended llama-server, or kept it busy for long.
func TestADeepBodyDoesNotReachTheEngine(t *testing.T) {
	node := start(t, setup{})
	schema := strings.Repeat(`{"items":`, 5000) + "{}" + strings.Repeat("}", 5000)
	for _, body := range []string{
		`{"messages":[],"chat_template_kwargs":{"a":` + strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000) + `}}`,
		`{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":` + schema + `}}]}`,
		`{"messages":[],"response_format":{"type":"json_schema","json_schema":{"schema":` + schema + `}}}`,
		strings.Repeat("[", 60_000),
	} {
		for _, path := range postedPaths {
			status, answer := node.post(t, path, body)
			var said struct {
				Error struct{ Type, Message string }
			}
			if err := json.Unmarshal([]byte(answer), &said); err != nil || status != 400 ||
				said.Error.Type != "invalid_request_error" || !strings.Contains(said.Error.Message, "more than 64 deep") {
				t.Errorf("%s: %d %s", path, status, answer)
			}
		}
	}
	if node.requests.Load() != 0 {
		t.Error("the engine was asked")
	}
	if status, _ := node.post(t, "/v1/completions", strings.Repeat("[", 64)+strings.Repeat("]", 64)); status != 200 {
		t.Error("64 deep:", status)
	}
}

func TestPathsAreTakenLiterally(t *testing.T) {
	node := start(t, setup{})
	for _, path := range []string{
		"/v1/../metrics", "/v1/./models", "/v1//models", "/v1/", "/v1/models/", "/v1/models%2f..", "/v1/%6dodels",
		"/v1/models;a", "/v1/mod\\els", "/v1/..", "/v1/.hidden", "/v1/models?a=<b>", "/v1/models?", "/v1/m?" + strings.Repeat("a", 513),
	} {
		if statuses := node.raw(t, "GET "+path+" HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"); !slices.Equal(statuses, []int{400}) {
			t.Errorf("%s: %v", path, statuses)
		}
	}
	if node.requests.Load() != 0 {
		t.Error("the engine was asked")
	}
	for _, path := range []string{"/v1/models", "/v1/models/gemma-3:270m", "/v1/models?limit=5&after=a%20b"} {
		if statuses := node.raw(t, "GET "+path+" HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"); !slices.Equal(statuses, []int{200}) {
			t.Errorf("%s: %v", path, statuses)
		}
	}
}

func TestSizesAreLimited(t *testing.T) {
	bounds := DefaultLimits
	bounds.Body, bounds.Bodies = 100_000, 150_000
	node := start(t, setup{limits: bounds})
	for size, wanted := range map[int]int{100_000: 200, 100_001: 413, 1 << 30: 413} {
		text := fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: n\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", size)
		if size <= 100_000 {
			text += strings.Repeat("a", size)
		}
		if statuses := node.raw(t, text); !slices.Equal(statuses, []int{wanted}) {
			t.Errorf("%d bytes: %v", size, statuses)
		}
	}
	long := "GET /v1/models HTTP/1.1\r\nHost: n\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n"
	if statuses := node.raw(t, long); !slices.Equal(statuses, []int{431}) {
		t.Error("header", statuses)
	}
}

func TestABodyThatIsOnlyAnnouncedHoldsNothing(t *testing.T) {
	bounds := DefaultLimits
	bounds.Body, bounds.Bodies = 1<<20, 2<<20
	node := start(t, setup{limits: bounds})
	for range 20 {
		fmt.Fprintf(node.dial(t), "POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n{", 1<<20)
	}
	if status, _ := node.post(t, "/v1/completions", `"`+strings.Repeat("a", 1<<19)+`"`); status != 200 {
		t.Fatal(status)
	}
}

func TestSlowClientsAreCutOffAndOthersAreServedMeanwhile(t *testing.T) {
	bounds := DefaultLimits
	bounds.HeaderTime, bounds.BodyTime, bounds.IdleTime = time.Second, time.Second, time.Second
	node := start(t, setup{limits: bounds})
	starts := []string{
		"", "GET /v1/mod", "GET /v1/models HTTP/1.1\r\nHost: n\r\nX: ",
		"POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: 9\r\n\r\n{",
	}
	const each = 50
	var group sync.WaitGroup
	begin := time.Now()
	for index := range each * len(starts) {
		connection := node.dial(t)
		io.WriteString(connection, starts[index%len(starts)])
		group.Add(1)
		go func() {
			defer group.Done()
			answer, _ := io.ReadAll(connection)
			if index%len(starts) == len(starts)-1 && !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
				t.Errorf("a slow body was answered with %q", answer)
			}
		}()
	}
	served := time.Now()
	if status, _ := node.get(t, "/v1/models"); status != 200 || time.Since(served) > 5*time.Second {
		t.Error(status, time.Since(served))
	}
	group.Wait()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("slow clients held their connections for %s", took)
	}
	if node.requests.Load() != 1 {
		t.Errorf("the engine saw %d requests", node.requests.Load())
	}
}

// net/http waits for what is left of a body before it closes a connection.
func TestABodyThatDoesNotComeHoldsNoConnectionOfARefusedRequest(t *testing.T) {
	bounds := DefaultLimits
	bounds.BodyTime = time.Second
	node := start(t, setup{limits: bounds})
	for _, head := range []string{
		"POST /nothing HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\n",
		"POST /healthz HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\n",
		"GET /v1/models HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\n",
		"POST /v1/completions HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n",
		"POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\nUpgrade: x\r\n",
		"POST /.well-known/attestation/activate HTTP/1.1\r\nHost: n\r\nContent-Length: 1025\r\n",
	} {
		connection := node.dial(t)
		begin := time.Now()
		io.WriteString(connection, head+"\r\n")
		if answer, err := io.ReadAll(connection); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%s: %v after %s: %.20q", head, err, time.Since(begin), answer)
		}
	}
}

func TestAClientThatTakesNothingIsCutOff(t *testing.T) {
	bounds := DefaultLimits
	bounds.WriteTime = 500 * time.Millisecond
	ended := make(chan struct{})
	node := start(t, setup{limits: bounds, engine: func(writer http.ResponseWriter, request *http.Request) {
		defer close(ended)
		writer.Header().Set("Content-Type", "text/event-stream")
		for request.Context().Err() == nil {
			if _, err := io.WriteString(writer, "data: "+strings.Repeat("a", 1<<16)+"\n\n"); err != nil {
				return
			}
		}
	}})
	connection := node.dial(t)
	io.WriteString(connection, "POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\n{}")
	select {
	case <-ended:
	case <-time.After(15 * time.Second):
		t.Fatal("the engine writes for a client that reads nothing")
	}
}

func TestRequestsAtATimeAreLimited(t *testing.T) {
	bounds := DefaultLimits
	bounds.Running = 2
	release := make(chan struct{})
	node := start(t, setup{limits: bounds, engine: func(writer http.ResponseWriter, _ *http.Request) {
		<-release
		writer.Header().Set("Content-Type", "application/json")
	}})
	var group sync.WaitGroup
	for range 2 {
		group.Add(1)
		go func() {
			defer group.Done()
			if status, _ := node.post(t, "/v1/completions", "{}"); status != 200 {
				t.Error(status)
			}
		}()
	}
	for node.requests.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	response, err := node.client.Post(node.url("/v1/completions"), "application/json", strings.NewReader("{}"))
	if err != nil || response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "1" {
		t.Error(response, err)
	}
	close(release)
	group.Wait()
}

func TestAClientThatLeavesIsNoErrorOfTheEngine(t *testing.T) {
	node := start(t, setup{engine: func(_ http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		<-request.Context().Done()
	}})
	connection := node.dial(t)
	io.WriteString(connection, "POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: 2\r\n\r\n{}")
	await(t, node.front.running, 1)
	connection.Close()
	await(t, node.front.running, 0)
	text := node.metrics.Text(gauges)
	if !strings.Contains(text, `bedplate_requests_total{route="inference",status="499"} 1`) || strings.Contains(text, `status="502"`) {
		t.Error(text)
	}
}

// await waits until so much is held.
func await(t *testing.T, places *limits.Places, held int64) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); places.Held() != held; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d are held, not %d", places.Held(), held)
		}
	}
}

func TestOnePeerLeavesPlacesOfTheEngineForOthers(t *testing.T) {
	bounds := DefaultLimits
	bounds.Running, bounds.RunningPerPeer = 3, 2
	release := make(chan struct{})
	node := start(t, setup{limits: bounds, engine: func(writer http.ResponseWriter, _ *http.Request) {
		<-release
		writer.Header().Set("Content-Type", "application/json")
	}})
	var group sync.WaitGroup
	ask := func(client *http.Client) {
		group.Add(1)
		before := node.requests.Load()
		go func() {
			defer group.Done()
			if status, _ := finish(t)(client.Get(node.url("/v1/models"))); status != 200 {
				t.Error(status)
			}
		}()
		for node.requests.Load() == before {
			time.Sleep(time.Millisecond)
		}
	}
	greedy := node.from(t, "127.0.0.2")
	ask(greedy)
	ask(greedy)
	if status, _ := finish(t)(greedy.Get(node.url("/v1/models"))); status != http.StatusTooManyRequests {
		t.Error("a third place of three:", status)
	}
	ask(node.from(t, "127.0.0.3"))
	if status, _ := finish(t)(node.from(t, "127.0.0.4").Get(node.url("/v1/models"))); status != http.StatusTooManyRequests {
		t.Error("a fourth place of three:", status)
	}
	close(release)
	group.Wait()
	await(t, node.front.running, 0)
}

func TestOnePeerLeavesEvidenceForOthers(t *testing.T) {
	bounds := DefaultLimits
	bounds.Evidence, bounds.EvidencePerPeer = 3, 2
	asked, release := make(chan struct{}), make(chan struct{})
	node := start(t, setup{limits: bounds, evidence: func([]byte) ([]byte, error) {
		asked <- struct{}{}
		<-release
		return []byte("{}"), nil
	}})
	target := node.url("/.well-known/attestation?nonce=" + strings.Repeat("5a", 32))
	activation := node.url("/.well-known/attestation/activate")
	var group sync.WaitGroup
	ask := func(client *http.Client) {
		group.Add(1)
		go func() {
			defer group.Done()
			if status, _ := finish(t)(client.Get(target)); status != 200 {
				t.Error(status)
			}
		}()
		<-asked
	}
	greedy := node.from(t, "127.0.0.2")
	ask(greedy)
	ask(greedy)
	if status, _ := finish(t)(greedy.Get(target)); status != http.StatusTooManyRequests {
		t.Error("evidence:", status)
	}
	if status, _ := finish(t)(greedy.Post(activation, "", strings.NewReader("abc"))); status != http.StatusTooManyRequests {
		t.Error("activation:", status)
	}
	other := node.from(t, "127.0.0.3")
	if status, _ := finish(t)(other.Post(activation, "", strings.NewReader("abc"))); status != 200 {
		t.Error("another's activation:", status)
	}
	ask(other)
	close(release)
	group.Wait()
	await(t, node.front.attested, 0)
}

func TestOnePeerLeavesMemoryForOthers(t *testing.T) {
	bounds := DefaultLimits
	bounds.Bodies, bounds.BodiesPerPeer, bounds.BodyTime = 3*pieceBytes, 2*pieceBytes, 5*time.Second
	node := start(t, setup{limits: bounds})
	for range 2 {
		fmt.Fprintf(node.dial(t), "POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: %d\r\n\r\n{", pieceBytes)
	}
	await(t, node.front.bodies, 2*pieceBytes)
	if status, _ := node.post(t, "/v1/completions", "{}"); status != http.StatusTooManyRequests {
		t.Error(status)
	}
	other, err := node.from(t, "127.0.0.2").Post(node.url("/v1/completions"), "application/json", strings.NewReader("{}"))
	if status, _ := finish(t)(other, err); status != 200 {
		t.Error("another peer:", status)
	}
	await(t, node.front.bodies, 0)
}

func TestACredentialThatComesSlowlyHoldsNoPlace(t *testing.T) {
	bounds := DefaultLimits
	bounds.Evidence, bounds.EvidencePerPeer = 1, 1
	node := start(t, setup{limits: bounds})
	path := "/.well-known/attestation/activate"
	io.WriteString(node.dial(t), "POST "+path+" HTTP/1.1\r\nHost: n\r\nContent-Length: 9\r\n\r\nab")
	await(t, node.front.bodies, 9)
	if status, _ := node.post(t, path, "abc"); status != 200 {
		t.Error(status)
	}
}

// An engine's error, and an answer that is sent at once, are still to be taken by the client.
func TestPlacesAreHeldUntilTheAnswerIsOut(t *testing.T) {
	const size = 16 << 20 // more than the kernel takes for a client that reads nothing
	bounds := DefaultLimits
	bounds.EvidencePerPeer, bounds.WriteTime = 1, 2*time.Second
	node := start(t, setup{limits: bounds, evidence: func([]byte) ([]byte, error) { return make([]byte, size), nil }})
	path := "/.well-known/attestation?nonce=" + strings.Repeat("5a", 32)
	io.WriteString(node.dial(t), "GET "+path+" HTTP/1.1\r\nHost: n\r\n\r\n")
	await(t, node.front.attested, 1)
	time.Sleep(500 * time.Millisecond)
	if status, _ := node.get(t, path); status != http.StatusTooManyRequests {
		t.Error("the place is given back while the answer is on its way:", status)
	}
	await(t, node.front.attested, 0)
	if status, body := node.get(t, path); status != 200 || len(body) != size {
		t.Error(status, len(body))
	}
}

func TestRequestsOfOnePeerAreLimited(t *testing.T) {
	bounds := DefaultLimits
	bounds.PerSecond, bounds.Burst = 0.001, 3
	node := start(t, setup{limits: bounds})
	var statuses []int
	for range 5 {
		status, _ := node.get(t, "/healthz")
		statuses = append(statuses, status)
	}
	if !slices.Equal(statuses, []int{200, 200, 200, 429, 429}) {
		t.Fatal(statuses)
	}
}

func FuzzPathAndQuery(f *testing.F) {
	f.Add("/v1/chat/completions", "a=b")
	f.Fuzz(func(t *testing.T, path, query string) {
		if inferencePath.MatchString(path) && (strings.Contains(path, "/.") || strings.ContainsAny(path, "%\\?#; \r\n")) {
			t.Fatalf("%q", path)
		}
		if plainQuery.MatchString(query) && strings.ContainsAny(query, "#\\ \r\n\"<>") {
			t.Fatalf("%q", query)
		}
	})
}
