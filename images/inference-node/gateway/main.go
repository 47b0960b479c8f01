// Command gateway is the front door of an inference node: the only program that listens. It shows what the node runs,
// bound to a TLS key that only it knows, and passes requests on to the engine.
//
// The service manager hands it all that it works with (OpenFile= and the socket unit); see README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/google/go-tpm/tpm2/transport"

	"bedplate.dev/gateway/internal/activation"
	"bedplate.dev/gateway/internal/engine"
	"bedplate.dev/gateway/internal/evidence"
	"bedplate.dev/gateway/internal/front"
	"bedplate.dev/gateway/internal/identity"
	"bedplate.dev/gateway/internal/limits"
	"bedplate.dev/gateway/internal/metrics"
	"bedplate.dev/gateway/internal/tpm"
)

// Names of the descriptors, as the units give them.
const (
	socketName       = "https"
	tpmName          = "tpm"
	eventLogName     = "event-log"
	userspaceLogName = "userspace-log"
)

type options struct {
	engine, osRelease, model, metricsCA string
}

func main() {
	// The standard logger is net/http's, which quotes what an engine says out of turn.
	log.SetOutput(io.Discard)
	var chosen options
	flag.StringVar(&chosen.engine, "engine", "", "unix socket of the engine")
	flag.StringVar(&chosen.osRelease, "os-release", "/usr/lib/os-release", "file that names the release")
	flag.StringVar(&chosen.model, "model", "/usr/lib/bedplate/model.json", "file that names the model, if there is one")
	flag.StringVar(&chosen.metricsCA, "metrics-ca", "/usr/lib/bedplate/metrics-clients.pem", "certificates (PEM) of those who vouch for readers of /metrics, if there is such a file")
	flag.Parse()
	if err := run(chosen); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(chosen options) error {
	if chosen.engine == "" || flag.NArg() > 0 {
		return errors.New("-engine is needed, and nothing but options is taken")
	}
	files, err := activation.Files(os.Getenv, os.Getpid())
	if err != nil {
		return err
	}
	for _, name := range []string{socketName, tpmName, eventLogName, userspaceLogName} {
		if files[name] == nil {
			return fmt.Errorf("the service manager passed no file named %s", name)
		}
	}
	// Without the file nobody reads metrics.
	authorities, err := os.ReadFile(chosen.metricsCA)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	self, err := identity.New()
	if err != nil {
		return err
	}
	config, err := self.ServerConfig(authorities)
	if err != nil {
		return err
	}
	attester, err := tpm.Open(transport.FromReadWriteCloser(files[tpmName]))
	if err != nil {
		return err
	}
	source, err := evidence.NewSource(
		attester, self.PublicKey(), chosen.osRelease, chosen.model, files[eventLogName], files[userspaceLogName],
	)
	if err != nil {
		return err
	}
	listener, err := net.FileListener(files[socketName])
	if err != nil {
		return err
	}
	files[socketName].Close()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	bounds := front.DefaultLimits
	door := front.New(bounds, source, engine.New(chosen.engine), metrics.New())
	return door.Serve(ctx, limits.NewListener(listener, bounds.Connections, bounds.ConnectionsPerPeer), config)
}
