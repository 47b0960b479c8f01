package activation

import (
	"slices"
	"strings"
	"testing"
)

func TestNamesComeInTheOrderOfTheirDescriptors(t *testing.T) {
	names, err := parse("7", "3", "https:tpm:eventlog", 7)
	if err != nil || !slices.Equal(names, []string{"https", "tpm", "eventlog"}) {
		t.Fatal(names, err)
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	for _, wrong := range [][3]string{
		{"", "1", "a"}, {"8", "1", "a"}, {"7", "", "a"}, {"7", "0", ""}, {"7", "-1", "a"}, {"7", "2", "a"},
		{"7", "1", "a:b"}, {"7", "2", "a:a"}, {"7", "2", "a:"}, {"7", "17", strings.Repeat("a:", 16) + "b"},
	} {
		if names, err := parse(wrong[0], wrong[1], wrong[2], 7); err == nil {
			t.Errorf("%q was read as %q", wrong, names)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("7", "2", "https:tpm")
	f.Fuzz(func(t *testing.T, pid, count, names string) {
		found, err := parse(pid, count, names, 7)
		if err == nil && (len(found) < 1 || len(found) > maxFiles || strings.Join(found, ":") != names) {
			t.Fatalf("%q %q was read as %q", count, names, found)
		}
	})
}
