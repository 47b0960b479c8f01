package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary stand in for an engine, so that real processes are watched.
func TestMain(m *testing.M) {
	switch os.Getenv("ENGINE") {
	case "":
		os.Exit(m.Run())
	case "exit":
		os.Exit(7)
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "environment":
		if os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("WATCHDOG_USEC") != "" {
			os.Exit(9)
		}
		os.Exit(0)
	case "waits":
		select {}
	}
}

func manager(t *testing.T) (string, func(time.Duration) string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	connection, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return path, func(limit time.Duration) string {
		connection.SetReadDeadline(time.Now().Add(limit))
		buffer := make([]byte, 64)
		count, err := connection.Read(buffer)
		if err != nil {
			return ""
		}
		return string(buffer[:count])
	}
}

func engine(t *testing.T, status *atomic.Int32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "engine.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/health" {
			t.Errorf("asked for %s", request.URL.Path)
		}
		answer.WriteHeader(int(status.Load()))
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return path
}

func TestTheManagerHearsOfAReadyEngineAndThenOfEveryGoodCheck(t *testing.T) {
	var status atomic.Int32
	status.Store(http.StatusServiceUnavailable)
	socket := engine(t, &status)
	path, next := manager(t)
	notifier, err := newNotifier(path, "40000")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go watch(ctx, newChecker(socket), notifier)
	if said := next(200 * time.Millisecond); said != "" {
		t.Fatalf("an engine that loads is said to be %q", said)
	}
	status.Store(http.StatusOK)
	if said := next(5 * time.Second); said != "READY=1" {
		t.Fatalf("said %q", said)
	}
	for range 3 {
		if said := next(5 * time.Second); said != "WATCHDOG=1" {
			t.Fatalf("said %q", said)
		}
	}
	status.Store(http.StatusInternalServerError)
	for next(100*time.Millisecond) != "" { // what was on its way
	}
	if said := next(300 * time.Millisecond); said != "" {
		t.Fatalf("a sick engine is said to be %q", said)
	}
}

func TestNoSocketIsNoHealth(t *testing.T) {
	if newChecker(filepath.Join(t.TempDir(), "none"))(context.Background()) {
		t.Fatal("healthy")
	}
}

func TestAnEngineThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "silent")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if newChecker(path)(ctx) {
		t.Fatal("healthy")
	}
}

func start(t *testing.T, kind string, arguments ...string) int {
	t.Helper()
	t.Setenv("ENGINE", kind)
	return run(filepath.Join(t.TempDir(), "engine.sock"), append([]string{os.Args[0]}, arguments...))
}

func TestTheEnginesCodeIsOurs(t *testing.T) {
	if code := start(t, "exit"); code != 7 {
		t.Fatalf("exit code %d", code)
	}
}

func TestAnEngineThatWasKilledIsAFailure(t *testing.T) {
	if code := start(t, "killed"); code != 128+int(syscall.SIGKILL) {
		t.Fatalf("exit code %d", code)
	}
}

func TestAnEngineThatIsNotThereIsAFailure(t *testing.T) {
	if code := run(filepath.Join(t.TempDir(), "s"), []string{"/none"}); code != 1 {
		t.Fatalf("exit code %d", code)
	}
}

func TestTheEngineDoesNotHearOfTheManager(t *testing.T) {
	path, _ := manager(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "1000000")
	if code := start(t, "environment"); code != 0 {
		t.Fatalf("exit code %d", code)
	}
}

func TestAnOldSocketIsRemovedAndADirectoryIsRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ENGINE", "exit")
	run(socket, []string{os.Args[0]})
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Fatal("the old socket is still there")
	}
	if err := os.MkdirAll(filepath.Join(socket, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code := run(socket, []string{os.Args[0]}); code != 1 {
		t.Fatalf("exit code %d", code)
	}
}

func TestAStopIsPassedOn(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "engine.sock")
	watcher := exec.Command(os.Args[0], "-test.run=TestHelperWatches")
	watcher.Env = append(os.Environ(), "ENGINE=", "WATCHED="+socket)
	if err := watcher.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	watcher.Process.Signal(syscall.SIGTERM)
	done := make(chan error, 1)
	go func() { done <- watcher.Wait() }()
	select {
	case <-done:
		if code := watcher.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
			t.Fatalf("exit code %d", code)
		}
	case <-time.After(10 * time.Second):
		watcher.Process.Kill()
		t.Fatal("it goes on")
	}
}

func TestHelperWatches(t *testing.T) {
	if socket := os.Getenv("WATCHED"); socket != "" {
		os.Setenv("ENGINE", "waits")
		os.Exit(run(socket, []string{os.Args[0]}))
	}
}

func TestEnvironmentOfTheManagerIsChecked(t *testing.T) {
	for _, bad := range [][2]string{{"relative", ""}, {"", "0"}, {"", "soon"}, {"", "-1"}} {
		if _, err := newNotifier(bad[0], bad[1]); err == nil {
			t.Errorf("%q is taken", strings.Join(bad[:], " "))
		}
	}
}
