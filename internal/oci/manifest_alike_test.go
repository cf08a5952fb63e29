package oci_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"berth.dev/berth/internal/oci"
)

// Random bytes seldom make a manifest with a twin of a member in it, so these
// texts are built from what goes wrong: members there twice, in other cases,
// escaped, of another form of manifest, or with a value that is read in
// several ways. What is accepted must be read alike by everyone.
func TestManifestReadAlike(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(rt *rapid.T) {
		for range 10 {
			media, body := drawManifest(rt)
			m, err := oci.ParseManifest(media, []byte(body))
			if err != nil {
				continue
			}
			accepted++
			checkAlike(rt, m, []byte(body))
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}

func drawManifest(rt *rapid.T) (media, body string) {
	media = rapid.SampledFrom(medias).Draw(rt, "media")
	members := []string{`"schemaVersion":2`, `"mediaType":"` + media + `"`}
	switch media {
	case oci.MediaArtifact:
		members = append(members, `"blobs":[`+drawDescriptor(rt)+`]`)
	case oci.MediaIndex, oci.MediaDockerList:
		members = append(members, `"manifests":[`+drawDescriptor(rt)+`]`)
	default:
		members = append(members, `"config":`+drawDescriptor(rt), `"layers":[`+drawDescriptor(rt)+`]`)
	}
	return media, drawObject(rt, members)
}

// drawObject returns an object of the members, in some order, and at most one
// more.
func drawObject(rt *rapid.T, members []string) string {
	if rapid.IntRange(0, 3).Draw(rt, "more") == 0 {
		key := rapid.SampledFrom([]string{
			"schemaVersion", "mediaType", "config", "layers", "manifests", "blobs", "subject", "annotations", "artifactType", "fsLayers", "digest", "size", "urls", "x",
		}).Draw(rt, "key")
		value := rapid.SampledFrom([]string{
			`null`, `2`, `3`, `2.0`, `2e0`, `-2`, `9007199254740993`, `"a"`, `"` + string(digest(9)) + `"`, `[]`, `{}`, `[` + desc("", 9, "") + `]`, desc("", 9, ""), `{"a":"b"}`, `["a"]`,
		}).Draw(rt, "value")
		members = append(members, `"`+disguise(rt, key)+`":`+value)
	}
	return `{` + strings.Join(rapid.Permutation(members).Draw(rt, "order"), ",") + `}`
}

func drawDescriptor(rt *rapid.T) string {
	return drawObject(rt, []string{`"digest":"` + string(digest(1)) + `"`, `"size":1`, `"mediaType":"a/b"`})
}

// disguise writes a key in a way that some reader takes for the key.
func disguise(rt *rapid.T, key string) string {
	switch rapid.IntRange(0, 5).Draw(rt, "disguise") {
	case 0:
		return strings.ToUpper(key)
	case 1:
		return strings.ToUpper(key[:1]) + key[1:]
	case 2:
		return strings.ReplaceAll(key, "s", "\u017f")
	case 3:
		return strings.Replace(key, "a", `\u0061`, 1)
	case 4:
		return key + `\u0000`
	}
	return key
}
