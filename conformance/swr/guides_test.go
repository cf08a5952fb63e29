package swr

import (
	"bytes"
	"testing"
)

// Guides have the address, the caller and the organization filled in.
func TestGuides(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		for _, topic := range []string{"login", "push", "pull"} {
			h, body := c.do("GET", "/v2/manage/guides/"+topic+"?lang=zh&namespace="+f.org, "", true, 200)
			if h.Get("Content-Language") != "zh" || !bytes.Contains(body, []byte(f.Host)) || topic != "login" && !bytes.Contains(body, []byte(f.Host+"/"+f.org+"/alpine:latest")) {
				f.Errorf("the guide to %s: %v %s", topic, h, body)
			}
		}
		c.do("GET", "/v2/manage/guides/push", "", false, 400)
		c.do("GET", "/v2/manage/guides/push?namespace=none-of-these", "", false, 404)
		c.do("GET", "/v2/manage/guides/eat", "", false, 404)
		c.do("GET", "/v2/manage/guides/login?lang=de", "", false, 400)
		f.withKey(f.partner).do("GET", "/v2/manage/guides/push?namespace="+f.org, "", false, 403)
	})
}
