package helm

import (
	"strings"

	"sigs.k8s.io/yaml"
)

// Entry is the metadata of a version as it stands in an index, a YAML mapping
// that is indented for its place there. What differs from one index to the
// next (address, time, digest) is not in it.
func Entry(m Metadata) (string, error) {
	b, err := yaml.Marshal(m)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		if line != "\n" {
			out.WriteString("    ")
		}
		out.WriteString(line)
	}
	return out.String(), nil
}
