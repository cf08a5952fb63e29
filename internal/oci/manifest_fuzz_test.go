package oci_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// What ParseManifest accepts must mean the same to everyone. So each accepted
// text is read again by three readers that share no code with it: Go's own
// types by encoding/json, which takes keys in any case and the last of
// several; and two that keep the first, or the last, of equal keys and know
// nothing but the exact ones.
func FuzzManifest(f *testing.F) {
	for _, media := range append(medias, "", "application/json") {
		for _, body := range seeds() {
			f.Add(media, body)
		}
	}
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		m, err := oci.ParseManifest(media, body)
		if err != nil {
			switch fault.CodeOf(err) {
			case fault.ManifestInvalid, fault.Unsupported, fault.TooLarge:
			default:
				t.Fatalf("error: %v", err)
			}
			return
		}
		checkAlike(t, m, body)
	})
}

func checkAlike(t rapid.TB, m *oci.Manifest, body []byte) {
	t.Helper()
	want := viewOf(m)
	if diff := cmp.Diff(want, viewOfTypes(t, m.MediaType, body), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("encoding/json reads it differently (-oci +json)\n%s", diff)
	}
	for _, first := range []bool{true, false} {
		if diff := cmp.Diff(want, viewOfTree(t, m.MediaType, body, first), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("a reader that keeps first keys (%v) reads it differently (-oci +tree)\n%s", first, diff)
		}
	}
	for _, media := range medias {
		if _, err := oci.ParseManifest(media, body); media != m.MediaType && err == nil {
			t.Errorf("a %s is a %s too", m.MediaType, media)
		}
	}
}

// medias are the types that ParseManifest takes.
var medias = []string{oci.MediaImage, oci.MediaIndex, oci.MediaDockerImage, oci.MediaDockerList, oci.MediaArtifact}

func seeds() [][]byte {
	texts := []string{
		image(""), index(""), `{"schemaVersion":2,"manifests":[]}`, `{"schemaVersion":1,"fsLayers":[]}`,
		`{"schemaVersion":2,"config":` + desc(mediaConfig, 1, "") + `,"layers":null}`,
		`{"mediaType":"` + oci.MediaArtifact + `","artifactType":"a/b","blobs":[` + desc(mediaLayer, 2, "") + `]}`,
		`{"schemaVersion":2,"mediaType":"` + oci.MediaDockerImage + `","config":` + desc(mediaConfig, 1, "") + `,"layers":[` + desc(mediaForeign, 2, `,"urls":["x"]`) + `]}`,
		`{"schemaVersion":2,"mediaType":"` + oci.MediaDockerList + `","manifests":[` + desc(oci.MediaDockerImage, 2, `,"platform":{"os":"linux","features":["a"]}`) + `]}`,
		image(`,"layers":[]`), image(`,"Layers":[]`), image(",\"layer\u017f\":[]"), image(`,"l\u0061yers":[]`), image(`,"manifests":null`),
		image(`,"subject":` + desc(oci.MediaImage, 4, `,"Digest":"x"`)), image(`,"annotations":{"A":"1","a":"\ud83d\ude00"},"artifactType":"a/b"`),
		image(`,"annotations":null,"subject":null,"x":[{"layers":1},1e400,-0.5]`), image(`,"x":"\ud800"`), image(",\"\xff\":1,\"\xfe\":2"), image("") + " {}",
		index(`,"subject":` + desc(oci.MediaImage, 4, `,"data":"e30=","size":1`)),
	}
	var all [][]byte
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

// view is what a reader sees of a manifest.
type view struct {
	Media, Artifact string
	Config, Subject *oci.Descriptor
	Listed          []oci.Descriptor
	Annotations     map[string]string
}

func viewOf(m *oci.Manifest) view {
	return view{Media: m.MediaType, Artifact: m.ArtifactType, Config: m.Config, Subject: m.Subject, Listed: append(m.Layers, m.Children...), Annotations: m.Annotations}
}

// anyManifest has the members of every form, in the types of the image-spec.
type anyManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *spec.Descriptor  `json:"config"`
	Layers        []spec.Descriptor `json:"layers"`
	Manifests     []spec.Descriptor `json:"manifests"`
	Blobs         []spec.Descriptor `json:"blobs"`
	FSLayers      json.RawMessage   `json:"fsLayers"`
	Subject       *spec.Descriptor  `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

func viewOfTypes(t rapid.TB, media string, body []byte) view {
	var m anyManifest
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	if m.MediaType != "" && m.MediaType != media || m.SchemaVersion != 2 && media != oci.MediaArtifact {
		t.Errorf("encoding/json reads %s of version %d, not %s", m.MediaType, m.SchemaVersion, media)
	}
	lists := 0
	for _, there := range []bool{m.Layers != nil, m.Manifests != nil, m.Blobs != nil, m.FSLayers != nil} {
		if there {
			lists++
		}
	}
	if lists > 1 {
		t.Errorf("encoding/json reads %d lists", lists)
	}
	v := view{Media: media, Artifact: m.ArtifactType, Annotations: m.Annotations}
	switch {
	case m.Config != nil:
		d := fromSpec(*m.Config)
		v.Config = &d
		if v.Artifact == "" {
			v.Artifact = d.MediaType
		}
	case media == oci.MediaImage || media == oci.MediaDockerImage:
		t.Error("encoding/json reads no config")
	}
	if m.Subject != nil {
		d := fromSpec(*m.Subject)
		v.Subject = &d
	}
	for _, d := range append(append(m.Layers, m.Manifests...), m.Blobs...) {
		v.Listed = append(v.Listed, fromSpec(d))
	}
	return v
}

func fromSpec(d spec.Descriptor) oci.Descriptor {
	return oci.Descriptor{MediaType: d.MediaType, Digest: oci.Digest(d.Digest), Size: d.Size, URLs: d.URLs, ArtifactType: d.ArtifactType}
}

// viewOfTree reads the text as a tree of maps and takes exact keys from it.
func viewOfTree(t rapid.TB, media string, body []byte, first bool) view {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	root, err := tree(dec, first)
	if err != nil {
		t.Fatalf("token reader: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("token reader: something follows: %v", err)
	}
	o, ok := root.(map[string]any)
	if !ok {
		t.Fatalf("token reader: %T", root)
	}
	v := view{Media: media, Artifact: text(o["artifactType"])}
	if c, ok := o["config"].(map[string]any); ok {
		d := fromTree(t, c)
		v.Config = &d
		if v.Artifact == "" {
			v.Artifact = d.MediaType
		}
	}
	if s, ok := o["subject"].(map[string]any); ok {
		d := fromTree(t, s)
		v.Subject = &d
	}
	key := map[string]string{oci.MediaIndex: "manifests", oci.MediaDockerList: "manifests", oci.MediaArtifact: "blobs"}[media]
	if key == "" {
		key = "layers"
	}
	for _, other := range []string{"layers", "manifests", "blobs", "fsLayers"} {
		if _, there := o[other]; there && other != key {
			t.Errorf("a %s has %s", media, other)
		}
	}
	list, _ := o[key].([]any)
	for _, item := range list {
		v.Listed = append(v.Listed, fromTree(t, item.(map[string]any)))
	}
	if a, ok := o["annotations"].(map[string]any); ok {
		v.Annotations = map[string]string{}
		for k, s := range a {
			v.Annotations[k] = s.(string)
		}
	}
	return v
}

func fromTree(t rapid.TB, o map[string]any) oci.Descriptor {
	d := oci.Descriptor{MediaType: text(o["mediaType"]), Digest: oci.Digest(text(o["digest"])), ArtifactType: text(o["artifactType"])}
	n, ok := o["size"].(json.Number)
	size, whole := new(big.Int).SetString(n.String(), 10)
	if !ok || !whole || !size.IsInt64() || size.Sign() < 0 {
		t.Errorf("the size is %v", o["size"])
		return d
	}
	d.Size = size.Int64()
	// A reader that keeps numbers as floating point sees the same.
	if f, err := n.Float64(); err != nil || int64(f) != d.Size {
		t.Errorf("the size %v is %v as a floating-point number: %v", n, f, err)
	}
	urls, _ := o["urls"].([]any)
	for _, u := range urls {
		d.URLs = append(d.URLs, u.(string))
	}
	return d
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// tree reads one value. Of equal keys it keeps the first or the last.
func tree(dec *json.Decoder, first bool) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := map[string]any{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			name, ok := key.(string)
			if !ok {
				return nil, fmt.Errorf("key %v", key)
			}
			v, err := tree(dec, first)
			if err != nil {
				return nil, err
			}
			if _, there := o[name]; !there || !first {
				o[name] = v
			}
		}
		_, err := dec.Token()
		return o, err
	case json.Delim('['):
		a := []any{}
		for dec.More() {
			v, err := tree(dec, first)
			if err != nil {
				return nil, err
			}
			a = append(a, v)
		}
		_, err := dec.Token()
		return a, err
	}
	return token, nil
}
