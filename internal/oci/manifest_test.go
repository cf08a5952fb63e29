package oci_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

const (
	mediaConfig  = "application/vnd.oci.image.config.v1+json"
	mediaLayer   = "application/vnd.oci.image.layer.v1.tar+gzip"
	mediaForeign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// digest makes a digest that is told apart by n.
func digest(n int) oci.Digest { return oci.Digest(fmt.Sprintf("sha256:%064x", n)) }

func descriptor(media string, n int) oci.Descriptor {
	return oci.Descriptor{MediaType: media, Digest: digest(n), Size: int64(n)}
}

// desc is a descriptor's JSON text; more is put behind its members.
func desc(media string, n int, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, media, digest(n), n, more)
}

// image is an image manifest's text with further members.
func image(more string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaImage + `","config":` + desc(mediaConfig, 1, "") + `,"layers":[` + desc(mediaLayer, 2, "") + `]` + more + `}`
}

// index is an OCI index's text with further members.
func index(more string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaIndex + `","manifests":[` + desc(oci.MediaImage, 3, "") + `]` + more + `}`
}

func TestParseManifest(t *testing.T) {
	config := descriptor(mediaConfig, 1)
	layer := descriptor(mediaLayer, 2)
	child := descriptor(oci.MediaImage, 3)
	subject := descriptor(oci.MediaImage, 4)
	long := oci.SHA512.FromBytes(nil)
	tests := []struct {
		name, media, body string
		want              oci.Manifest
	}{
		{
			"image", oci.MediaImage, image(""),
			oci.Manifest{MediaType: oci.MediaImage, ArtifactType: mediaConfig, Config: &config, Layers: []oci.Descriptor{layer}},
		}, {
			"image with everything", oci.MediaImage + "; charset=utf-8",
			image(`,"artifactType":"a/b","subject":` + desc(oci.MediaImage, 4, "") + `,"annotations":{"A":"1","a":"2","":"\u00e9\ud83d\ude00\n"}`),
			oci.Manifest{
				MediaType: oci.MediaImage, ArtifactType: "a/b", Config: &config, Layers: []oci.Descriptor{layer}, Subject: &subject,
				Annotations: map[string]string{"A": "1", "a": "2", "": "é😀\n"},
			},
		}, {
			"image without its media type", oci.MediaImage, `{"schemaVersion":2,"config":` + desc(mediaConfig, 1, "") + `,"layers":[]}`,
			oci.Manifest{MediaType: oci.MediaImage, ArtifactType: mediaConfig, Config: &config, Layers: []oci.Descriptor{}},
		}, {
			"image without a Content-Type", "", image(""),
			oci.Manifest{MediaType: oci.MediaImage, ArtifactType: mediaConfig, Config: &config, Layers: []oci.Descriptor{layer}},
		}, {
			"image with null for what is absent", oci.MediaImage,
			" \r\n\t{\"schemaVersion\": 2 , \"config\" :" + desc(mediaConfig, 1, `,"urls":null,"annotations":null,"data":null,"platform":null,"artifactType":null`) +
				",\"mediaType\":null,\"layers\":null,\"subject\":null,\"annotations\":null,\"artifactType\":null}\n",
			oci.Manifest{MediaType: oci.MediaImage, ArtifactType: mediaConfig, Config: &config, Layers: []oci.Descriptor{}},
		}, {
			"image with members of others", oci.MediaImage,
			image(`,"org.example":{"layers":[1.5e-3,-0,true,false,null,"x"],"Layers":{}},"history":[]`),
			oci.Manifest{MediaType: oci.MediaImage, ArtifactType: mediaConfig, Config: &config, Layers: []oci.Descriptor{layer}},
		}, {
			"image by sha512 with embedded data", oci.MediaImage,
			`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` + string(long) + `","size":2,"data":"e30="},"layers":[]}`,
			oci.Manifest{
				MediaType: oci.MediaImage, ArtifactType: "application/vnd.oci.empty.v1+json",
				Config: &oci.Descriptor{MediaType: "application/vnd.oci.empty.v1+json", Digest: long, Size: 2}, Layers: []oci.Descriptor{},
			},
		}, {
			"escaped keys", oci.MediaImage, strings.Replace(image(""), `"layers"`, `"l\u0061yers"`, 1),
			oci.Manifest{MediaType: oci.MediaImage, ArtifactType: mediaConfig, Config: &config, Layers: []oci.Descriptor{layer}},
		}, {
			"index", oci.MediaIndex, index(""),
			oci.Manifest{MediaType: oci.MediaIndex, Children: []oci.Descriptor{child}},
		}, {
			"index of nothing about something", oci.MediaIndex,
			`{"schemaVersion":2,"artifactType":"a/b","manifests":[],"subject":` + desc(oci.MediaImage, 4, "") + `}`,
			oci.Manifest{MediaType: oci.MediaIndex, ArtifactType: "a/b", Children: []oci.Descriptor{}, Subject: &subject},
		}, {
			"index with platforms", oci.MediaIndex,
			`{"schemaVersion":2,"manifests":[` + desc(oci.MediaImage, 3, `,"platform":{"architecture":"arm","os":"linux","variant":"v7","os.version":null,"os.features":["a"],"more":1},"annotations":{"x":"y"}`) + `]}`,
			oci.Manifest{MediaType: oci.MediaIndex, Children: []oci.Descriptor{child}},
		}, {
			"Docker image", oci.MediaDockerImage, strings.Replace(image(""), oci.MediaImage, oci.MediaDockerImage, 1),
			oci.Manifest{MediaType: oci.MediaDockerImage, ArtifactType: mediaConfig, Config: &config, Layers: []oci.Descriptor{layer}},
		}, {
			"Docker list", oci.MediaDockerList, strings.Replace(index(""), oci.MediaIndex, oci.MediaDockerList, 1),
			oci.Manifest{MediaType: oci.MediaDockerList, Children: []oci.Descriptor{child}},
		}, {
			"artifact", oci.MediaArtifact,
			`{"mediaType":"` + oci.MediaArtifact + `","artifactType":"a/b","blobs":[` + desc(mediaLayer, 2, "") + `],"subject":` + desc(oci.MediaImage, 4, "") + `}`,
			oci.Manifest{MediaType: oci.MediaArtifact, ArtifactType: "a/b", Layers: []oci.Descriptor{layer}, Subject: &subject},
		}, {
			"artifact of nothing", oci.MediaArtifact, `{"mediaType":"` + oci.MediaArtifact + `"}`,
			oci.Manifest{MediaType: oci.MediaArtifact},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := oci.ParseManifest(tt.media, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, m); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseManifestRefuses(t *testing.T) {
	config := desc(mediaConfig, 1, "")
	// with puts a layer's text into an image.
	with := func(layer string) string {
		return `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`
	}
	deep := func(n int) string {
		return image(`,"x":` + strings.Repeat(`[`, n) + strings.Repeat(`]`, n))
	}
	tests := []struct {
		name, media, body string
		code              fault.Code // ManifestInvalid if empty
		says              string
	}{
		{name: "nothing", body: "", says: "an object"},
		{name: "not an object", body: "[]", says: "an object"},
		{name: "byte order mark", body: "\ufeff" + image(""), says: "an object"},
		{name: "unfinished", body: image("")[:100], says: "string"},
		{name: "text behind it", body: image("") + "{}", says: "behind its end"},
		{name: "NUL behind it", body: image("") + "\x00", says: "behind its end"},
		{name: "comma at the end of an object", body: image(","), says: "a string is expected"},
		{name: "comma at the end of an array", body: with(desc("", 2, "") + ","), says: "an object"},
		{name: "no comma in an object", body: `{"schemaVersion":2 "layers":[]}`, says: "comma"},
		{name: "no comma in an array", body: with(`{} {}`), says: "no digest"},
		{name: "no colon", body: `{"schemaVersion" 2}`, says: "colon"},
		{name: "comment", body: image(`,/**/"x":1`), says: "a string is expected"},
		{name: "single quotes", body: `{'schemaVersion':2}`, says: "a string is expected"},
		{name: "leading zero", body: image(`,"x":01`), says: "number"},
		{name: "number without digits", body: image(`,"x":-`), says: "number"},
		{name: "number ending in a dot", body: image(`,"x":1.`), says: "number"},
		{name: "number ending in an exponent", body: image(`,"x":1e+`), says: "number"},
		{name: "infinity", body: image(`,"x":Infinity`), says: "a value"},
		{name: "invalid UTF-8", body: image(",\"x\":\"\xff\""), says: "UTF-8"},
		{name: "invalid UTF-8 behind an escape", body: image(",\"x\":\"\\n\xff\""), says: "UTF-8"},
		{name: "control character", body: image(",\"x\":\"\n\""), says: "control"},
		{name: "control character behind an escape", body: image(",\"x\":\"\\t\n\""), says: "control"},
		{name: "unknown escape", body: image(`,"x":"\a"`), says: "escape"},
		{name: "escape cut off", body: `{"\`, says: "escape"},
		{name: "unicode escape cut off", body: `{"\ud83d\`, says: "escape"},
		{name: "unicode escape of other digits", body: image(`,"x":"\u+123"`), says: "escape"},
		{name: "half a surrogate pair", body: image(`,"x":"\ud83d"`), says: "escape"},
		{name: "other half of a surrogate pair", body: image(`,"x":"\ude00\ud83d"`), says: "escape"},
		{name: "parted surrogate pair", body: image(`,"x":"\ud83d\u  de00"`), says: "escape"},
		{name: "string escaped and unfinished", body: `{"\n`, says: "does not end"},

		{name: "layers twice", body: image(`,"layers":[]`), says: `"layers" is there twice`},
		{name: "layers twice, once escaped", body: image(`,"l\u0061yers":[]`), says: `"layers" is there twice`},
		{name: "layers in another case", body: image(`,"Layers":[]`), says: "only in case"},
		{name: "layers in another case only", body: strings.Replace(image(""), "layers", "LAYERS", 1), says: "only in case"},
		{name: "long s folds to s", body: image(",\"layer\u017f\":[]"), says: "only in case"},
		{name: "schema 1 list in another case", body: image(`,"fslayers":[]`), says: "only in case"},
		{name: "digest twice", body: with(desc("", 2, `,"digest":"`+string(digest(3))+`"`)), says: `"digest" is there twice`},
		{name: "digest in another case", body: with(desc("", 2, `,"Digest":"`+string(digest(3))+`"`)), says: "only in case"},
		{name: "platform in another case", body: `{"schemaVersion":2,"manifests":[` + desc("", 3, `,"platform":{"OS":"linux"}`) + `]}`, media: oci.MediaIndex, says: "only in case"},
		{name: "key twice in an unknown member", body: image(`,"x":[{"y":1,"y":1}]`), says: `"y" is there twice`},
		{name: "annotation twice", body: image(`,"annotations":{"y":"1","y":"1"}`), says: `"y" is there twice`},
		{name: "key twice among many", body: image(`,"x":{` + numbered(100) + `,"7":0}`), says: `"7" is there twice`},

		{name: "layers and manifests", body: image(`,"manifests":[]`), says: "no member manifests"},
		{name: "layers and null for manifests", body: image(`,"manifests":null`), says: "no member manifests"},
		{name: "layers and blobs", body: image(`,"blobs":[]`), says: "no member blobs"},
		{name: "layers and those of schema 1", body: image(`,"fsLayers":[]`), says: "no member fsLayers"},
		{name: "index with layers", media: oci.MediaIndex, body: index(`,"layers":[]`), says: "no member layers"},
		{name: "index with a config", media: oci.MediaIndex, body: index(`,"config":` + config), says: "no member config"},
		{name: "index without manifests", media: oci.MediaIndex, body: `{"schemaVersion":2}`, says: "no member manifests"},
		{name: "image without config", body: `{"schemaVersion":2,"layers":[]}`, says: "no config"},
		{name: "index as image", body: index(""), says: "must be alike"},
		{name: "other media type", media: oci.MediaDockerImage, body: image(""), says: "must be alike"},
		{name: "Docker image that does not say so", media: oci.MediaDockerImage, body: with(""), says: "must say so"},
		{name: "artifact that does not say so", media: oci.MediaArtifact, body: `{}`, says: "must say so"},
		{name: "unknown Content-Type", media: "application/json", body: image(""), says: "application/json"},
		{name: "neither Content-Type nor media type", media: "none", body: with(""), says: "without a Content-Type"},
		{name: "no schema version", body: `{"config":` + config + `,"layers":[]}`, says: "schemaVersion must be 2"},
		{name: "schema version 3", body: strings.Replace(with(""), "2", "3", 1), says: "schemaVersion must be 2"},
		{name: "artifact of schema version 3", media: oci.MediaArtifact, body: `{"mediaType":"` + oci.MediaArtifact + `","schemaVersion":3}`, says: "schemaVersion must be 2"},
		{name: "fractional schema version", body: strings.Replace(with(""), "2", "2.0", 1), says: "whole number"},
		{name: "schema version as a string", body: strings.Replace(with(""), "2", `"2"`, 1), says: "number"},

		{name: "negative size", body: with(`{"digest":"` + string(digest(2)) + `","size":-1}`), says: "whole number"},
		{name: "negative zero", body: with(`{"digest":"` + string(digest(2)) + `","size":-0}`), says: "whole number"},
		{name: "fractional size", body: with(`{"digest":"` + string(digest(2)) + `","size":1.5}`), says: "whole number"},
		{name: "size with an exponent", body: with(`{"digest":"` + string(digest(2)) + `","size":1e3}`), says: "whole number"},
		{name: "size as a string", body: with(`{"digest":"` + string(digest(2)) + `","size":"1"}`), says: "number"},
		{name: "size of null", body: with(`{"digest":"` + string(digest(2)) + `","size":null}`), says: "number"},
		{name: "size beyond 64 bits", body: with(`{"digest":"` + string(digest(2)) + `","size":9223372036854775808}`), says: "whole number"},
		{name: "size beyond 53 bits", body: with(`{"digest":"` + string(digest(2)) + `","size":9007199254740992}`), says: "add up"},
		{name: "sizes that add up beyond", body: with(`{"digest":"` + string(digest(2)) + `","size":9007199254740991}`), says: "add up"},
		{name: "no size", body: with(`{"digest":"` + string(digest(2)) + `"}`), says: "no size"},
		{name: "no digest", body: with(`{"size":1}`), says: "no digest"},
		{name: "digest of null", body: with(`{"digest":null,"size":1}`), says: "a string"},
		{name: "bad digest", body: with(`{"digest":"sha256:bad","size":1}`), says: "sha256:bad"},
		{name: "digest by another algorithm", body: with(`{"digest":"sha384:` + hex64 + `","size":1}`), says: "sha384"},
		{name: "bad digest of the subject", body: image(`,"subject":{"digest":"x","size":1}`), says: `"x"`},
		{name: "layer of null", body: with("null"), says: "an object"},
		{name: "layers as an object", body: `{"schemaVersion":2,"config":` + config + `,"layers":{}}`, says: "an array"},
		{name: "annotation as a number", body: image(`,"annotations":{"a":1}`), says: "a string"},
		{name: "annotation of null", body: image(`,"annotations":{"a":null}`), says: "a string"},
		{name: "annotation of a layer as a number", body: with(desc("", 2, `,"annotations":{"a":1}`)), says: "a string"},
		{name: "urls as a string", body: with(desc("", 2, `,"urls":"x"`)), says: "an array"},
		{name: "url of null", body: with(desc("", 2, `,"urls":[null]`)), says: "a string"},
		{name: "data not base64", body: with(desc("", 2, `,"data":"!"`)), says: "base64"},
		{name: "data as a number", body: with(desc("", 2, `,"data":1`)), says: "a string"},
		{name: "platform as a string", body: with(desc("", 2, `,"platform":"linux"`)), says: "an object"},
		{name: "platform's features as a string", body: with(desc("", 2, `,"platform":{"os.features":"x"}`)), says: "an array"},
		{name: "platform's system as a number", body: with(desc("", 2, `,"platform":{"os":1}`)), says: "a string"},
		{name: "media type as a number", body: with(`{"mediaType":1}`), says: "a string"},
		{name: "media type with a control character", body: image(`,"artifactType":"a\u0000"`), says: "ASCII"},
		{name: "media type too long", body: image(`,"artifactType":"` + strings.Repeat("a", 256) + `"`), says: "255"},

		{name: "too deep", body: deep(32), says: "deeper than 32"},
		{name: "too many members", body: image(`,"x":{` + numbered(oci.MaxMembers) + `}`), says: "too many members"},
		{name: "too many descriptors", body: with(strings.Repeat(desc("", 2, "")+",", oci.MaxDescriptors) + "{}"), says: "descriptors"},
		{name: "too many urls", body: with(desc("", 2, `,"urls":[`+strings.Repeat(`"",`, oci.MaxDescriptors)+`""]`)), says: "urls"},
		{name: "too large", body: image("") + strings.Repeat(" ", oci.MaxManifest), code: fault.TooLarge, says: "at most"},

		{name: "schema 1", media: "application/vnd.docker.distribution.manifest.v1+json", body: `{}`, code: fault.Unsupported, says: "current client"},
		{name: "signed schema 1", media: "application/vnd.docker.distribution.manifest.v1+prettyjws", body: `{}`, code: fault.Unsupported, says: "current client"},
		{name: "schema 1 in disguise", body: `{"schemaVersion":1,"fsLayers":[]}`, code: fault.Unsupported, says: "current client"},
		{name: "schema 1 without a Content-Type", media: "none", body: `{"schemaVersion":1,"fsLayers":[]}`, code: fault.Unsupported, says: "current client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			switch tt.media {
			case "":
				tt.media = oci.MediaImage
			case "none":
				tt.media = ""
			}
			if tt.code == "" {
				tt.code = fault.ManifestInvalid
			}
			m, err := oci.ParseManifest(tt.media, []byte(tt.body))
			if m != nil || fault.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %+v, %v\nwant %s that says %q", m, err, tt.code, tt.says)
			}
		})
	}
}

// numbered is n members of an object.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"%d":0,`, i)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// The bounds themselves are inside.
func TestParseManifestAtItsBounds(t *testing.T) {
	last := desc("", 2, "")
	for name, body := range map[string]string{
		"depth":       image(`,"x":` + strings.Repeat("[", oci.MaxDepth-1) + strings.Repeat("]", oci.MaxDepth-1)),
		"members":     image(`,"x":{` + numbered(oci.MaxMembers-5) + `}`),
		"descriptors": `{"schemaVersion":2,"config":` + last + `,"layers":[` + strings.Repeat(last+",", oci.MaxDescriptors-2) + last + `]}`,
		"bytes":       image("") + strings.Repeat(" ", oci.MaxManifest-len(image(""))),
		"sizes":       `{"schemaVersion":2,"config":` + desc("", 1, "") + `,"layers":[{"digest":"` + string(digest(2)) + `","size":9007199254740990}]}`,
	} {
		if _, err := oci.ParseManifest(oci.MediaImage, []byte(body)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManifestBlobs(t *testing.T) {
	layer := func(media string, n int, urls ...string) oci.Descriptor {
		return oci.Descriptor{MediaType: media, Digest: digest(n), URLs: urls}
	}
	config := layer(mediaConfig, 5)
	m := &oci.Manifest{Config: &config, Layers: []oci.Descriptor{
		layer(mediaLayer, 9), layer(mediaLayer, 2), layer(mediaLayer, 9), layer(mediaForeign, 7), layer(mediaLayer, 1, "https://example.org/1"),
		layer("application/vnd.oci.image.layer.nondistributable.v1.tar", 7), layer(mediaForeign, 2),
	}}
	if diff := cmp.Diff([]oci.Digest{digest(2), digest(5), digest(9)}, m.Blobs()); diff != "" {
		t.Errorf("Blobs (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]oci.Digest{digest(1), digest(7)}, m.Optional()); diff != "" {
		t.Errorf("Optional (-want +got)\n%s", diff)
	}
	if got := (&oci.Manifest{}).Blobs(); len(got) != 0 {
		t.Errorf("Blobs of nothing: %v", got)
	}
	if got := (&oci.Manifest{Config: &config}).Optional(); len(got) != 0 {
		t.Errorf("Optional without foreign layers: %v", got)
	}
}

func TestDescriptorMarshals(t *testing.T) {
	d := descriptor(oci.MediaImage, 1)
	d.ArtifactType, d.Annotations = "a/b", map[string]string{"k": "v"}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"mediaType":"` + oci.MediaImage + `","digest":"` + string(digest(1)) + `","size":1,"annotations":{"k":"v"},"artifactType":"a/b"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// twoKiB is an image manifest of the usual size: ten layers.
func twoKiB() []byte {
	list := desc(mediaLayer, 2, "")
	for n := 3; n < 12; n++ {
		list += "," + desc(mediaLayer, n, "")
	}
	return []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaImage + `","config":` + desc(mediaConfig, 1, "") + `,"layers":[` + list + `],"annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z"}}`)
}

func TestParseManifestAllocates(t *testing.T) {
	body := twoKiB()
	n := testing.AllocsPerRun(100, func() { _, _ = oci.ParseManifest(oci.MediaImage, body) })
	if n > 60 {
		t.Errorf("%d bytes with 11 descriptors took %v allocations", len(body), n)
	}
}

func BenchmarkParseManifest(b *testing.B) {
	body := twoKiB()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := oci.ParseManifest(oci.MediaImage, body); err != nil {
			b.Fatal(err)
		}
	}
}
