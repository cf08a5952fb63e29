package swr

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// An image is downloaded as a file and uploaded again, into another repository
// and in parts, and is the same. (conformance/clients has the tools.)
func TestArchives(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		image := c.push("app", "v1", 1, 2)
		at := c.at("/repos/app/tags/v1/archive")
		tar := f.bytes("GET", at, nil, 200)
		f.bytes("HEAD", at, nil, 200)
		half := int64(len(tar) / 2)
		rest := f.bytes("GET", at, nil, 206, "Range", fmt.Sprintf("bytes=%d-", half))
		if string(rest) != string(tar[half:]) {
			f.Errorf("the range has other bytes than the whole")
		}
		f.bytes("GET", c.at("/repos/app/tags/none/archive"), nil, 404)

		all := c.at("/archives")
		_, body := c.do("POST", all, `{"repository":"copy","rename":true,"size":`+fmt.Sprint(len(tar))+`}`, true, 201)
		var upload struct {
			ID, State string
			Offset    int64
			Images    []struct {
				Repository, Tag string
				ImageID         string `json:"image_id"`
			}
		}
		read := func(body []byte) {
			t.Helper()
			if err := json.Unmarshal(body, &upload); err != nil {
				f.Fatalf("%v: %s", err, body)
			}
		}
		read(body)
		one := all + "/" + upload.ID
		read(f.bytes("PATCH", one, tar[:half], 200))
		if upload.Offset != half {
			f.Errorf("the upload stands at %d, want %d", upload.Offset, half)
		}
		f.bytes("PATCH", one+"?offset=0", tar[:half], 416)
		read(f.bytes("PUT", fmt.Sprintf("%s?offset=%d", one, half), tar[half:], 200))
		c.do("GET", one, "", true, 200)
		c.do("GET", all, "", true, 200)
		_, body = c.do("POST", one+"/finish?wait=60", "", true, 200)
		read(body)
		if upload.State != "done" || len(upload.Images) != 1 || upload.Images[0].Repository != "copy" {
			f.Errorf("the upload ends as %s", body)
		}
		var tag struct {
			ImageID string `json:"image_id"`
		}
		c.read(c.at("/repos/copy/tags/v1"), &tag)
		if want := image.Blobs[0].Digest.Encoded(); tag.ImageID != want {
			f.Errorf("the image id is %s, want %s", tag.ImageID, want)
		}
		c.do("DELETE", one, "", false, 204)
		c.gone(one)
		c.do("GET", all+"/nonsense", "", false, 400)
		c.do("GET", all+"/"+strings.Repeat("0", 32), "", false, 404)
		f.withKey(f.partner).do("GET", all, "", false, 403)
	})
}

// bytes sends and gets what is no JSON, signed.
func (f *fixture) bytes(method, to string, body []byte, status int, header ...string) []byte {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, f.URL()+to, strings.NewReader(string(body)))
	if err != nil {
		f.Fatal(err)
	}
	if body == nil {
		r.Body = http.NoBody
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sign(r, f.admin.Access, f.admin.Secret, body)
	resp, err := f.client().Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		f.Fatalf("%s %s: %d, want %d: %v %.500s", method, to, resp.StatusCode, status, err, answer)
	}
	return answer
}
