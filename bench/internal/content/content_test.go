package content

import (
	"encoding/json"
	"testing"
)

func TestBlobIsWhatItsDigestSays(t *testing.T) {
	for _, size := range []int64{16, 17, 4096, 1 << 20, 1<<20 + 5, 3 << 20} {
		b := NewBlob("a", size)
		if got := Digest(b.Bytes()); got != b.Digest || int64(len(b.Bytes())) != size {
			t.Errorf("size %d: digest %s of %d bytes, announced %s", size, got, len(b.Bytes()), b.Digest)
		}
	}
	if NewBlob("a", 4096).Digest == NewBlob("b", 4096).Digest {
		t.Error("blobs of different ids are alike")
	}
}

func TestPartsMakeTheWhole(t *testing.T) {
	b := NewBlob("parts", 2<<20+100)
	var got []byte
	for off := int64(0); off < b.Size; off += 1 << 20 {
		p := b.Part(off, min(off+1<<20, b.Size))
		for x := p.Next(); x != nil; x = p.Next() {
			for _, y := range x {
				got = append(got, y...)
			}
		}
	}
	if Digest(got) != b.Digest {
		t.Error("the parts put together are another blob")
	}
}

func TestImageJSON(t *testing.T) {
	im := NewImage("id", 2, 100)
	subject := Small("subject")
	for _, body := range [][]byte{im.Manifest, im.Variant("x"), im.Referrer("y", "application/vnd.example", subject), im.Config, Index("z")} {
		var v map[string]any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Errorf("%v in %s", err, body)
		}
	}
	var m struct {
		ArtifactType string
		Subject      struct{ Digest string }
		Layers       []struct{ Digest string }
	}
	if err := json.Unmarshal(im.Referrer("y", "application/vnd.example", subject), &m); err != nil {
		t.Fatal(err)
	}
	if m.Subject.Digest != subject.Digest || m.ArtifactType != "application/vnd.example" || len(m.Layers) != 2 {
		t.Errorf("referrer says %+v", m)
	}
}
