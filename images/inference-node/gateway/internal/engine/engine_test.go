package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listen is an engine that serves each connection as it likes. The number of a connection counts from 1.
func listen(t *testing.T, serve func(number int, connection net.Conn)) *Client {
	t.Helper()
	folder, err := os.MkdirTemp("", "engine") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for number := 1; ; number++ {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				connection.SetDeadline(time.Now().Add(20 * time.Second))
				serve(number, connection)
			}()
		}
	}()
	return New(socket)
}

// whole is an answer of an engine.
func whole(text string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
}

func ask(t *testing.T, client *Client) string {
	t.Helper()
	response, err := client.Do(context.Background(), Request{Method: http.MethodGet, Path: "/v1/models"})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// The surplus is there with the answer, or when somebody could already have been given the connection.
func TestWhatAnEngineSaysBeyondAnAnswerReachesNobody(t *testing.T) {
	for _, late := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond} {
		client := listen(t, func(number int, connection net.Conn) {
			http.ReadRequest(bufio.NewReader(connection))
			io.WriteString(connection, whole(fmt.Sprint("own ", number)))
			time.Sleep(late)
			io.WriteString(connection, whole("surplus"))
		})
		for number := 1; number <= 50; number++ {
			if said := ask(t, client); said != fmt.Sprint("own ", number) {
				t.Fatalf("request %d was answered with %q", number, said)
			}
		}
	}
}

func TestEveryRequestHasAConnectionOfItsOwnThatEndsWithTheAnswer(t *testing.T) {
	const requests = 3
	heads, ends := make(chan string, requests), make(chan error, requests)
	client := listen(t, func(_ int, connection net.Conn) {
		reader := bufio.NewReader(connection)
		var head strings.Builder
		for line := ""; line != "\r\n"; head.WriteString(line) {
			var err error
			if line, err = reader.ReadString('\n'); err != nil {
				break
			}
		}
		heads <- head.String()
		io.WriteString(connection, whole("{}"))
		_, err := reader.ReadByte()
		ends <- err
	})
	for range requests {
		ask(t, client)
		if err := <-ends; err != io.EOF {
			t.Error("after the answer:", err)
		}
		// The engine is not asked to close, see New.
		if head := <-heads; head != "GET /v1/models HTTP/1.1\r\nHost: engine\r\n\r\n" {
			t.Errorf("%q", head)
		}
	}
}

// net/http may go on reading a body after it has given an answer, or an error. The race detector looks on.
func TestABodyIsNotReadAnyMoreWhenItsRequestHasEnded(t *testing.T) {
	for said, failed := range map[string]bool{whole("{}"): false, "nonsense\r\n\r\n": true} {
		client := listen(t, func(_ int, connection net.Conn) {
			reader := bufio.NewReader(connection)
			for line := ""; line != "\r\n"; {
				var err error
				if line, err = reader.ReadString('\n'); err != nil {
					return
				}
			}
			io.WriteString(connection, said)
			io.Copy(io.Discard, reader)
		})
		request := Request{Method: http.MethodPost, Path: "/v1/completions"}
		for range 200 {
			request.Body = append(request.Body, make([]byte, 32<<10))
		}
		response, err := client.Do(context.Background(), request)
		if (err != nil) != failed {
			t.Fatal(said, err)
		}
		if err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		for _, piece := range request.Body {
			clear(piece)
		}
	}
}

func TestNothingIsReadFromABodyThatIsClosed(t *testing.T) {
	text := []byte("abcd")
	sent := &body{pieces: net.Buffers{text[:3], text[3:]}}
	into := make([]byte, 2)
	if size, err := sent.Read(into); size != 2 || err != nil || string(into) != "ab" {
		t.Fatal(size, err, into)
	}
	sent.Close()
	if size, err := sent.Read(into); size != 0 || err == nil || err == io.EOF {
		t.Fatal(size, err)
	}
	sent = new(body)
	(&answer{io.NopCloser(strings.NewReader("")), sent}).Close()
	if !sent.closed {
		t.Fatal("the answer has ended, and the body can be read")
	}
}
