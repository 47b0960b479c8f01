// Engine-watch starts an inference engine, tells the service manager when it is ready, and goes on telling it as long
// as the engine says that it is well. An engine that hangs is thus restarted by the manager's watchdog
// (systemd.service(5), WatchdogSec=), and one that ends is restarted by Restart=.
//
// It runs inside the engine's own sandbox, opens nothing but the engine's socket, and logs nothing of what it reads.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	healthTimeout = 5 * time.Second
	pause         = time.Second
	maxStatusLine = 1 << 10
	// The manager's limit is met with room for a check that is slow and one that is lost.
	checksPerWatchdog = 4
)

func main() {
	socket := flag.String("socket", "", "unix socket of the engine")
	flag.Parse()
	if *socket == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: engine-watch -socket PATH -- PROGRAM [ARGUMENT]...")
		os.Exit(2)
	}
	os.Exit(run(*socket, flag.Args()))
}

// run starts the engine and returns what to exit with: the engine's own code, 128 and a signal's number, or 1.
func run(socket string, argv []string) int {
	notifier, err := newNotifier(os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine-watch:", err)
		return 1
	}
	// The engine has no business with the manager.
	os.Unsetenv("NOTIFY_SOCKET")
	os.Unsetenv("WATCHDOG_USEC")
	os.Unsetenv("WATCHDOG_PID")
	// What an earlier run left would look like an engine that does not answer.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "engine-watch:", err)
		return 1
	}
	engine := exec.Command(argv[0], argv[1:]...)
	engine.Stdout, engine.Stderr = os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if err := engine.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "engine-watch:", err)
		return 1
	}
	go func() {
		for received := range signals {
			engine.Process.Signal(received)
		}
	}()
	ctx, stop := context.WithCancel(context.Background())
	go watch(ctx, newChecker(socket), notifier)
	err = engine.Wait()
	stop()
	return exitCode(err, engine.ProcessState)
}

func exitCode(err error, state *os.ProcessState) int {
	if state == nil {
		return 1
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	if err != nil && state.ExitCode() == 0 {
		return 1
	}
	return state.ExitCode()
}

// watch tells the manager of every check that went well, until the context ends.
func watch(ctx context.Context, healthy func(context.Context) bool, notifier *notifier) {
	ready := false
	interval := pause
	for {
		if healthy(ctx) {
			if !ready {
				notifier.send("READY=1")
				ready = true
				interval = notifier.interval
			}
			notifier.send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// newChecker asks the engine's /health, of which only the status counts. Two lines of HTTP need no HTTP library, which
// would be most of this program.
func newChecker(socket string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, healthTimeout)
		defer cancel()
		connection, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return false
		}
		defer connection.Close()
		if deadline, ok := ctx.Deadline(); ok {
			connection.SetDeadline(deadline)
		}
		if _, err := io.WriteString(connection, "GET /health HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n\r\n"); err != nil {
			return false
		}
		line, err := bufio.NewReader(io.LimitReader(connection, maxStatusLine)).ReadString('\n')
		words := strings.Fields(line)
		return err == nil && len(words) >= 2 && strings.HasPrefix(words[0], "HTTP/1.") && words[1] == "200"
	}
}

// notifier speaks sd_notify(3). Without a socket it speaks to nobody, as a program that a person starts does.
type notifier struct {
	address  *net.UnixAddr
	interval time.Duration
}

func newNotifier(socket, microseconds string) (*notifier, error) {
	made := &notifier{interval: pause}
	if socket != "" {
		if socket[0] != '/' && socket[0] != '@' {
			return nil, fmt.Errorf("NOTIFY_SOCKET is neither a path nor an abstract socket")
		}
		made.address = &net.UnixAddr{Name: socket, Net: "unixgram"}
	}
	if microseconds != "" {
		limit, err := strconv.ParseUint(microseconds, 10, 63)
		if err != nil || limit == 0 {
			return nil, fmt.Errorf("WATCHDOG_USEC is not a number of microseconds")
		}
		made.interval = max(time.Duration(limit)*time.Microsecond/checksPerWatchdog, time.Millisecond)
	}
	return made, nil
}

func (notifier *notifier) send(state string) {
	if notifier.address == nil {
		return
	}
	connection, err := net.DialUnix("unixgram", nil, notifier.address)
	if err != nil {
		return // the manager misses it, and its watchdog does the rest
	}
	defer connection.Close()
	connection.Write([]byte(state))
}
