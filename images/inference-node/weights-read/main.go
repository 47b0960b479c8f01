// Weights-read reads the device of the weights whole, once, before the node listens. dm-verity looks at a block when it is
// read, and an engine reads most of its weights when it needs them: without this a client could be told yes, and send
// its prompt, while a block that is not the model's waits to be met. dm-verity stops the machine at such a block; any
// other error ends this program, and what requires its unit does not start.
//
// The service manager opens the device and passes it on. Nothing of what is read is kept.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

const (
	// The first descriptor that is passed (sd_listen_fds(3), SD_LISTEN_FDS_START).
	firstDescriptor = 3
	pieceBytes      = 4 << 20
	// linux/fadvise.h, POSIX_FADV_SEQUENTIAL.
	sequential = 2
)

func main() {
	if err := run(os.Getenv, os.Getpid()); err != nil {
		fmt.Fprintln(os.Stderr, "weights-read:", err)
		os.Exit(1)
	}
}

func run(getenv func(string) string, pid int) error {
	if len(os.Args) > 1 {
		return errors.New("nothing is taken but a file of the service manager's")
	}
	if getenv("LISTEN_PID") != strconv.Itoa(pid) || getenv("LISTEN_FDS") != "1" {
		return errors.New("the service manager passed not just one file")
	}
	device := os.NewFile(firstDescriptor, "weights")
	defer device.Close()
	return readWhole(device)
}

// readWhole reads a device from its beginning to its end, which is not its beginning.
func readWhole(device *os.File) error {
	size, err := device.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size <= 0 {
		return errors.New("the weights are empty")
	}
	// The kernel reads further ahead. If it does not, reading takes longer.
	syscall.Syscall6(syscall.SYS_FADVISE64, device.Fd(), 0, 0, sequential, 0, 0)
	piece := make([]byte, pieceBytes)
	for offset := int64(0); offset < size; {
		wanted := min(size-offset, pieceBytes)
		// Less than all of it is an error, the end included.
		if _, err := device.ReadAt(piece[:wanted], offset); err != nil {
			return fmt.Errorf("at byte %d of %d: %w", offset, size, err)
		}
		offset += wanted
	}
	return nil
}
