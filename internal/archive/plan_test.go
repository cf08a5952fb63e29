package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/archive"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

func TestPlanDocker(t *testing.T) {
	t.Parallel()
	one, two := layerOf("one"), layerOf("two")
	p, err := plan(t, tarOf(legacy([]string{"example.com:5000/acme/app:v1", "app:latest", "acme/other:v2"}, one, two)...), acme)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Blobs) != 3 || !cmp.Equal(p.Repositories(), []string{"app", "other"}) {
		t.Fatalf("planned %+v", p)
	}
	config := configOf(one, two)
	if b := p.Blobs[0]; b.Digest != digestOf(config) || b.Size != int64(len(config)) || !cmp.Equal(b.Repositories, []string{"app", "other"}) {
		t.Errorf("the config is %+v", b)
	}
	if b := p.Blobs[2]; b.Digest != "" || b.Diff != digestOf(two) {
		t.Errorf("the second layer is %+v", b)
	}
	app := p.Images[0]
	if app.Repository != "app" || !cmp.Equal(app.Tags, []string{"latest", "v1"}) || len(app.Manifests) != 0 {
		t.Errorf("the first image is %+v", app)
	}
	d := oci.SHA256.FromBytes(nil)
	stored := []archive.Stored{{}, {Digest: d, Size: 7, Compression: archive.Gzip}, {Digest: d, Size: 8, Compression: archive.Gzip}}
	if err := app.Build(stored); err != nil {
		t.Fatal(err)
	}
	m, err := oci.ParseManifest(app.Manifests[0].MediaType, app.Manifests[0].Body)
	if err != nil || m.MediaType != oci.MediaDockerImage || m.Config.Digest != digestOf(config) || len(m.Layers) != 2 || m.Layers[1].Size != 8 {
		t.Errorf("built %s: %v", app.Manifests[0].Body, err)
	}
	other := p.Images[1]
	stored[1].Compression = archive.Zstd
	if err := other.Build(stored); err != nil {
		t.Fatal(err)
	}
	if m, err = oci.ParseManifest(other.Manifests[0].MediaType, other.Manifests[0].Body); err != nil || m.MediaType != oci.MediaImage ||
		m.Layers[0].MediaType != layerType+"+zstd" || m.Layers[1].MediaType != layerType+"+gzip" {
		t.Errorf("built %s: %v", other.Manifests[0].Body, err)
	}
}

// Layers that stand once and are linked to, as docker and podman write them.
func TestPlanLinks(t *testing.T) {
	t.Parallel()
	layer := layerOf("one")
	config := configOf(layer, layer)
	p, err := plan(t, tarOf(
		file{name: "./config.json", content: config},
		file{name: "./a/layer.tar", link: "../b/layer.tar"},
		file{name: "./b/layer.tar", link: "../c.tar"},
		file{name: "./c.tar", content: layer},
		file{name: "./manifest.json", content: jsonOf([]item{{"config.json", []string{"app:v1"}, []string{"a/layer.tar", "b/layer.tar"}}})},
	), acme)
	if err != nil || len(p.Blobs) != 2 {
		t.Fatalf("planned %+v: %v", p, err)
	}
}

func TestPlanLayout(t *testing.T) {
	t.Parallel()
	amd, files := imageOf(layerType+"+gzip", gzipped(layerOf("amd64")))
	arm, more := imageOf(layerType+"+gzip", gzipped(layerOf("arm64")))
	index := jsonOf(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": []desc{descOf(imageType, amd), descOf(imageType, arm)}})
	signature := jsonOf(map[string]any{"schemaVersion": 2, "mediaType": imageType, "config": descOf(configType, configOf()),
		"layers": []desc{}, "subject": descOf(imageType, amd)})
	files = append(append(files, more...), blobFile(index), blobFile(signature), blobFile(configOf()))
	root := named(descOf(indexType, index), "docker.io/acme/app:v1")
	p, err := plan(t, tarOf(layoutOf(files, descOf(imageType, signature), root)...), acme)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Images) != 2 || len(p.Blobs) != 5 {
		t.Fatalf("planned %d images, %d blobs", len(p.Images), len(p.Blobs))
	}
	img := p.Images[0]
	if !cmp.Equal(img.Tags, []string{"v1"}) || len(img.Manifests) != 3 || !bytes.Equal(img.Manifests[2].Body, index) || img.Manifests[2].MediaType != indexType {
		t.Errorf("the index is %+v", img)
	}
	if s := p.Images[1]; s.Repository != "app" || len(s.Tags) != 0 || !bytes.Equal(s.Manifests[0].Body, signature) {
		t.Errorf("the signature is %+v", s)
	}
	if err := img.Build(nil); err != nil || len(img.Manifests) != 3 {
		t.Errorf("built anew: %v", err)
	}
}

// An archive that says twice what it holds is read as a layout only if that
// loses nothing.
func TestPlanBoth(t *testing.T) {
	t.Parallel()
	layer := layerOf("one")
	packed := gzipped(layer)
	both := func(mediaType string, content []byte, drop string) []byte {
		m, files := imageOf(mediaType, content)
		config := configOf(content)
		files = layoutOf(files, named(descOf(imageType, m), "app:v1"))
		files = append(files, file{name: "manifest.json", content: jsonOf([]item{{"blobs/sha256/" + digestOf(config).Hex(), []string{"app:v1"},
			[]string{"blobs/sha256/" + digestOf(content).Hex()}}})})
		var kept []file
		for _, f := range files {
			if drop == "" || !strings.HasSuffix(f.name, drop) {
				kept = append(kept, f)
			}
		}
		return tarOf(kept...)
	}
	m, _ := imageOf(layerType+"+gzip", packed)
	for name, tt := range map[string]struct {
		archive []byte
		layout  bool
	}{
		"compressed":   {both(layerType+"+gzip", packed, ""), true},
		"uncompressed": {both(layerType, layer, ""), false},
		"incomplete":   {both(layerType+"+gzip", packed, digestOf(m).Hex()), false},
	} {
		p, err := plan(t, tt.archive, acme)
		if err != nil || (len(p.Images[0].Manifests) > 0) != tt.layout {
			t.Errorf("%s: planned %+v: %v", name, p, err)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	layer := layerOf("one")
	good := legacy([]string{"app:v1"}, layer)
	without := func(i int) []file { return append(append([]file{}, good[:i]...), good[i+1:]...) }
	manifest := func(text string) []file {
		return append(good[:2:2], file{name: "manifest.json", content: []byte(text)})
	}
	m, files := imageOf(layerType, layer)
	bad := append([]byte{}, m...)
	bad[len(bad)-2] = ' '
	root := named(descOf(imageType, m), "app:v1")
	for name, tt := range map[string]struct {
		archive []byte
		target  archive.Target
		want    any // a Defect or a fault.Code
	}{
		"nothing":                        {nil, acme, archive.NoManifest},
		"no tar":                         {bytes.Repeat([]byte("text "), 300), acme, archive.BadFormat},
		"cut off":                        {tarOf(good...)[:2000], acme, archive.BadFormat},
		"no manifest":                    {tarOf(without(2)...), acme, archive.NoManifest},
		"no config":                      {tarOf(without(0)...), acme, archive.ConfigMissing},
		"no layer":                       {tarOf(without(1)...), acme, archive.LayerMissing},
		"no names":                       {tarOf(legacy(nil, layer)...), acme, archive.NoNames},
		"another organization":           {tarOf(legacy([]string{"other/app:v1"}, layer)...), acme, archive.NamesDiffer},
		"another repository":             {tarOf(good...), archive.Target{Organization: "acme", Repository: "web"}, archive.NamesDiffer},
		"one name for two":               {tarOf(layoutOf(files, descOf(imageType, m), descOf(imageType, m))...), archive.Target{Organization: "acme", Repository: "app"}, archive.NamesDiffer},
		"a bad tag":                      {tarOf(legacy([]string{"app:.v1"}, layer)...), acme, fault.TagInvalid},
		"a bad name":                     {tarOf(legacy([]string{"App:v1"}, layer)...), acme, fault.NameInvalid},
		"no JSON":                        {tarOf(manifest(`[{`)...), acme, archive.Unparsable},
		"not even text":                  {tarOf(manifest("\x00")...), acme, archive.Unparsable},
		"no image":                       {tarOf(manifest(`[]`)...), acme, archive.NoManifest},
		"one layer too many":             {tarOf(manifest(`[{"Config":"` + good[0].name + `","RepoTags":["app:v1"],"Layers":[]}]`)...), acme, archive.BadFormat},
		"a file twice":                   {tarOf(append(good, good[2])...), acme, archive.BadFormat},
		"upwards":                        {tarOf(append(good, file{name: "a/../../b"})...), acme, archive.BadFormat},
		"links in a circle":              {tarOf(append(without(1), file{name: good[1].name, link: "layer.tar"})...), acme, archive.LayerMissing},
		"a layout without its manifest":  {tarOf(layoutOf(files[:2], root)...), acme, archive.NoManifest},
		"a layout without its layer":     {tarOf(layoutOf([]file{files[0], files[2]}, root)...), acme, archive.LayerMissing},
		"a layout without its config":    {tarOf(layoutOf(files[1:], root)...), acme, archive.ConfigMissing},
		"a layout without a name":        {tarOf(layoutOf(files, descOf(imageType, m))...), acme, archive.NoNames},
		"a layout with a tag alone":      {tarOf(layoutOf(files, named(descOf(imageType, m), "v1"))...), acme, archive.NoNames},
		"a manifest that is not its own": {tarOf(layoutOf(append(files[:2:2], file{name: files[2].name, content: bad}), root)...), acme, fault.DigestInvalid},
		"a kind of manifest unknown":     {tarOf(layoutOf(files, named(desc{"text/plain", digestOf(m), len(m), nil}, "app:v1"))...), acme, archive.Unparsable},
	} {
		_, err := plan(t, tt.archive, tt.target)
		var f *fault.Error
		if !errors.As(err, &f) || f.Detail != tt.want && f.Code != tt.want {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Few manifests become many where each goes to many repositories.
func TestPlanManyRepositories(t *testing.T) {
	t.Parallel()
	var children []desc
	var files []file
	for i := range 11 {
		m, some := imageOf(layerType, layerOf(fmt.Sprint(i)))
		children, files = append(children, descOf(imageType, m)), append(files, some...)
	}
	index := jsonOf(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": children})
	files = append(files, blobFile(index))
	for n, want := range map[int]bool{80: true, 90: false} { // times 12 manifests
		var roots []desc
		for i := range n {
			roots = append(roots, named(descOf(indexType, index), fmt.Sprintf("app%d:v1", i)))
		}
		_, err := plan(t, tarOf(layoutOf(files, roots...)...), acme)
		var f *fault.Error
		if tooBig := errors.As(err, &f) && f.Detail == archive.TooBig; tooBig == want || err == nil != want {
			t.Errorf("%d repositories: %v", n, err)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ref    string
		target archive.Target
		want   string // "" for an error
	}{
		{"app:v1", acme, "app:v1"},
		{"app", acme, "app:latest"},
		{"localhost/app:v1", acme, "app:v1"},
		{"docker.io/library/busybox:1", acme, "busybox:1"},
		{"library/busybox:1", acme, "busybox:1"},
		{"example.com/library/busybox:1", acme, ""},
		{"example.com:5000/acme/team/app:v1@sha256:00", acme, "team/app:v1"},
		{"acme/app@sha256:00", acme, "app:latest"},
		{"acme.com/app:v1", acme, "app:v1"},
		{"other/app:v1", archive.Target{Organization: "acme", Repository: "web", Rename: true}, "web:v1"},
		{"other/app:v1", archive.Target{Organization: "acme", Repository: "web", Tag: "v2", Rename: true}, "web:v2"},
		{"acme/web:v1", archive.Target{Organization: "acme", Repository: "web", Tag: "v2"}, "web:v1"},
		{":v1", acme, ""},
		{"acme/", acme, ""},
		{"", acme, ""},
	} {
		n, err := tt.target.Place(tt.ref)
		got := n.Repository + ":" + n.Tag
		if err != nil {
			got = ""
		}
		if got != tt.want {
			t.Errorf("%q is %q, want %q: %v", tt.ref, got, tt.want, err)
		}
	}
}
