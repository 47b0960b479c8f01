package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func device(t *testing.T, size int64) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "device"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return file
}

// consumed is how many bytes this process has read (proc_pid_io(5), rchar).
func consumed(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err)
	}
	_, after, _ := strings.Cut(string(text), "rchar: ")
	number, _, _ := strings.Cut(after, "\n")
	count, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestAllOfADeviceIsRead(t *testing.T) {
	for _, size := range []int64{1, 4096, pieceBytes, pieceBytes + 1, 5*pieceBytes - 4096} {
		file := device(t, size)
		before := consumed(t)
		if err := readWhole(file); err != nil {
			t.Fatal(size, err)
		}
		if read := consumed(t) - before; read < size {
			t.Errorf("%d of %d bytes were read", read, size)
		}
	}
}

func TestAnEmptyDeviceIsRefused(t *testing.T) {
	if err := readWhole(device(t, 0)); err == nil || err.Error() != "the weights are empty" {
		t.Fatal(err)
	}
}

func TestADeviceThatCannotBeReadIsRefused(t *testing.T) {
	file := device(t, 4096)
	unreadable, err := os.OpenFile(file.Name(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unreadable.Close()
	if err := readWhole(unreadable); err == nil || !strings.HasPrefix(err.Error(), "at byte 0 of 4096: ") {
		t.Fatal(err)
	}
	directory, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if readWhole(directory) == nil {
		t.Fatal("a directory was read")
	}
}

func TestOnlyTheManagersFileIsTaken(t *testing.T) {
	arguments := os.Args
	defer func() { os.Args = arguments }()
	os.Args = arguments[:1]
	for _, environment := range []map[string]string{
		{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "7"}, {"LISTEN_PID": "7", "LISTEN_FDS": "2"},
		{"LISTEN_PID": "8", "LISTEN_FDS": "1"},
	} {
		err := run(func(name string) string { return environment[name] }, 7)
		if err == nil || err.Error() != "the service manager passed not just one file" {
			t.Errorf("%v: %v", environment, err)
		}
	}
	os.Args = append(os.Args, "more")
	if err := run(func(string) string { return "" }, 7); err == nil || !strings.HasPrefix(err.Error(), "nothing is taken") {
		t.Error(err)
	}
}
