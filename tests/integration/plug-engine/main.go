// Plug-engine is an engine for tests: it keeps to the contract of docs/guides/engines.md, reads the beginning of
// its weights before it listens, as one does that maps them into its memory, and does what the words of a prompt say: it dies, dies in the middle of an answer, hangs with
// all that it has, says an error that quotes what it was asked, or tells what is mounted in its sandbox.
package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

const (
	maxBody = 32 << 20
	atStart = 64 << 10
)

// Of each start another one, so that an answer says which process it is of.
var start = rand.Text()

// Held by whoever serves, and for ever by a prompt that says so.
var hung sync.RWMutex

func main() {
	if err := run(option("--host"), option("--model")); err != nil {
		os.Exit(1)
	}
}

// option is what follows a word of the command line, which is that of the engine in whose place this one is.
func option(name string) string {
	if place := slices.Index(os.Args, name); place >= 0 && place+1 < len(os.Args) {
		return os.Args[place+1]
	}
	return ""
}

func run(socket, weights string) error {
	file, err := os.Open(weights)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, file, atStart); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(serve))
}

func serve(writer http.ResponseWriter, request *http.Request) {
	hung.RLock()
	switch request.URL.Path {
	case "/health":
		fmt.Fprintln(writer, "ok")
	case "/v1/chat/completions":
		complete(writer, request)
	default:
		http.NotFound(writer, request)
	}
	hung.RUnlock()
}

func complete(writer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, maxBody))
	prompt := string(body)
	switch {
	case err != nil:
		http.Error(writer, "body", http.StatusBadRequest)
	case strings.Contains(prompt, "please die"):
		die()
	case strings.Contains(prompt, "please stop in the middle"):
		writer.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(writer, "data: %s\n\n", chunk("chat.completion.chunk", "delta", "half"))
		writer.(http.Flusher).Flush()
		die()
	case strings.Contains(prompt, "please hang"):
		hung.RUnlock()
		hung.Lock()
		select {}
	case strings.Contains(prompt, "please quote"):
		writer.WriteHeader(http.StatusInternalServerError)
		json.NewEncoder(writer).Encode(map[string]any{"error": map[string]any{"type": "server_error", "message": prompt}})
	case strings.Contains(prompt, "please tell the mounts"):
		mounts, err := os.ReadFile("/proc/self/mounts")
		if err != nil {
			mounts = []byte(err.Error())
		}
		answer(writer, string(mounts))
	default:
		answer(writer, start)
	}
}

func answer(writer http.ResponseWriter, content string) {
	writer.Header().Set("Content-Type", "application/json")
	writer.Write(chunk("chat.completion", "message", content))
}

// die ends the process as an out-of-memory killer does.
func die() {
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func chunk(object, member, content string) []byte {
	said := map[string]any{"role": "assistant", "content": content}
	answer := map[string]any{
		"id": "c", "object": object, "created": 1, "model": "model",
		"choices": []any{map[string]any{"index": 0, "finish_reason": nil, member: said}},
		"usage":   map[string]any{"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	return text
}
