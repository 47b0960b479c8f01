package evidence

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// os-release(5) allows these characters in IMAGE_ID and IMAGE_VERSION.
var plainValue = regexp.MustCompile(`^[0-9A-Za-z._-]{1,128}$`)

// ParseOSRelease takes name and version of the image from the text of /usr/lib/os-release. A value may be in quotes;
// what a shell would have to evaluate is refused, and so is a name that comes twice.
func ParseOSRelease(text string) (Release, error) {
	values := map[string]string{"IMAGE_ID": "", "IMAGE_VERSION": ""}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		known, wanted := values[name]
		if !wanted {
			continue
		}
		for _, quote := range []string{`"`, `'`} {
			if len(value) > 1 && strings.HasPrefix(value, quote) && strings.HasSuffix(value, quote) {
				value = value[1 : len(value)-1]
				break
			}
		}
		if known != "" || !plainValue.MatchString(value) {
			return Release{}, fmt.Errorf("os-release: %s comes twice, or has a value that is not plain", name)
		}
		values[name] = value
	}
	release := Release{Name: values["IMAGE_ID"], Version: values["IMAGE_VERSION"]}
	if release.Name == "" || release.Version == "" {
		return Release{}, errors.New("os-release: IMAGE_ID or IMAGE_VERSION is missing")
	}
	return release, nil
}
