package helm

import "strings"

// FileOf is the name of a chart's archive.
func FileOf(name, version string) string { return name + "-" + version + ".tgz" }

// SplitFile takes the name of an archive, or of the provenance file beside it,
// apart. ok is false for a name that is neither.
func SplitFile(file string) (name, version string, provenance, ok bool) {
	file, provenance = strings.CutSuffix(file, ".prov")
	file, ok = strings.CutSuffix(file, ".tgz")
	if !ok {
		return "", "", false, false
	}
	at := versionInName.FindStringIndex(file)
	if at == nil {
		return "", "", false, false
	}
	name, version = file[:at[0]], file[at[0]+1:]
	if CheckName(name) != nil {
		return "", "", false, false
	}
	if _, err := ParseVersion(version); err != nil {
		return "", "", false, false
	}
	return name, version, provenance, true
}
