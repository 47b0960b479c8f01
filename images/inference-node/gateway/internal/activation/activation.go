// Package activation takes the open files that the service manager hands over: the one listening socket, the TPM and
// the logs. The gateway opens nothing of its own but the engine's socket and files of the measured root.
package activation

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The first descriptor that is passed (SD_LISTEN_FDS_START), and more than any unit of ours passes.
const (
	firstDescriptor = 3
	maxFiles        = 16
)

// Files reads what sd_listen_fds_with_names(3) describes. The result maps the name of each descriptor to its file.
// Two files of one name, a count that does not fit the names and variables of another process are errors.
func Files(getenv func(string) string, pid int) (map[string]*os.File, error) {
	names, err := parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getenv("LISTEN_FDNAMES"), pid)
	if err != nil {
		return nil, err
	}
	files := make(map[string]*os.File, len(names))
	for index, name := range names {
		descriptor := firstDescriptor + index
		syscall.CloseOnExec(descriptor)
		files[name] = os.NewFile(uintptr(descriptor), name)
	}
	return files, nil
}

// parse returns the names of the descriptors in their order.
func parse(listenPID, listenFDs, listenNames string, pid int) ([]string, error) {
	if listenPID != strconv.Itoa(pid) {
		return nil, errors.New("LISTEN_PID does not name this process")
	}
	count, err := strconv.Atoi(listenFDs)
	if err != nil || count < 1 || count > maxFiles {
		return nil, fmt.Errorf("LISTEN_FDS is not a number from 1 to %d", maxFiles)
	}
	names := strings.Split(listenNames, ":")
	if len(names) != count {
		return nil, fmt.Errorf("LISTEN_FDNAMES has %d names for %d files", len(names), count)
	}
	seen := make(map[string]bool, count)
	for _, name := range names {
		if name == "" || seen[name] {
			return nil, errors.New("LISTEN_FDNAMES has an empty name, or one twice")
		}
		seen[name] = true
	}
	return names, nil
}
