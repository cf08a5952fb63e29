package swrapi

import (
	"slices"
	"strings"
)

// Elsewhere reports paths outside of /v2/manage/ and /v3/manage/ that clients
// of this API ask for, and that are to be refused in its form: versions of the
// API that do not exist, and what belongs to another edition, in which a
// project has instances. Some of the latter could be read as repositories; so
// the distribution API comes first.
func Elsewhere(path string) bool {
	parts := split(path)
	switch {
	case len(parts) == 1:
		return isVersion(parts[0])
	case len(parts) == 2 && parts[1] == "manage":
		return parts[0] == "v2" || parts[0] == "v3"
	}
	return len(parts) >= 3 && parts[0] == "v2" && parts[1] != "" && slices.Contains([]string{"instances", "jobs", "resource-instances"}, parts[2])
}

// isVersion reports "v9" and "v1.1".
func isVersion(s string) bool {
	rest, ok := strings.CutPrefix(s, "v")
	return ok && rest != "" && len(rest) <= 8 && strings.Trim(rest, "0123456789.") == ""
}

// Serves reports whether an escaped path is one of the API, by any method.
func (a *API) Serves(escaped string) bool {
	path := split(escaped)
	return slices.ContainsFunc(a.routes, func(s served) bool { return fits(s.parts, path) })
}
