package chartapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"berth.dev/berth/internal/chart"
)

// An index that was followed through many changes is, in both forms, what one
// is that is made at once; and what is compressed is the text, in one member.
func TestIndexOfChunks(t *testing.T) {
	w := open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	there := map[string]bool{}
	check := func() {
		t.Helper()
		now, err := w.charts.Index(t.Context(), w.admin, "team")
		w.must(err)
		fresh, err := chart.New(w.reg, chart.Options{}).Index(t.Context(), w.admin, "team")
		w.must(err)
		if !bytes.Equal(now.Body(), fresh.Body()) || !bytes.Equal(now.Gzip(), fresh.Gzip()) || now.ETag != fresh.ETag {
			t.Fatal("what was followed and what is made at once are different")
		}
		z, err := gzip.NewReader(bytes.NewReader(now.Gzip()))
		w.must(err)
		z.Multistream(false)
		text, err := io.ReadAll(z)
		w.must(err)
		if !bytes.Equal(text, now.Body()) {
			t.Fatal("what is compressed is not the text")
		}
	}
	check()
	for i := range 300 {
		name, version := fmt.Sprint("chart", rng.IntN(3)), fmt.Sprintf("1.%d.0", rng.IntN(120))
		if key := name + " " + version; there[key] && rng.IntN(3) > 0 {
			if rec := w.send("admin", "DELETE", "/chart/api/team/charts/"+name+"/"+version, nil); rec.Code != 200 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			delete(there, key)
		} else {
			w.upload(201, "/chart/api/team/charts?force", pack(name, version, fmt.Sprint(i)))
			there[key] = true
		}
		if i%10 == 0 {
			check()
		} else if _, err := w.charts.Index(t.Context(), w.admin, "team"); err != nil {
			t.Fatal(err)
		}
	}
	check()
	for key := range there {
		var name, version string
		_, err := fmt.Sscan(key, &name, &version)
		w.must(err)
		if rec := w.send("admin", "DELETE", "/chart/api/team/charts/"+name+"/"+version, nil); rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	check()
}
