package swr

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"berth.dev/berth/conformance/internal/images"
)

func TestSDKTags(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		image := f.push("team/app", "v1")
		f.pushImage("team/app", "v2", image)
		index := f.content.Index("amd64", "arm64")
		f.pushImage("team/app", "multi", index)
		repo := func(more string) string {
			return `{"namespace":"` + f.org + `","repository":"team$app"` + more + `}`
		}
		row := func(member, tag string, m *images.Manifest, kind int, more string) string {
			path := f.Host + "/" + f.org + "/team/app:" + tag
			return fmt.Sprintf(`{"id":"<int>","repo_id":"<int>",%q:%q,"image_id":"<hex>","manifest":%s,"digest":%q,"schema":2,"path":%q,"internal_path":%q,
				"size":"<int>","is_trusted":false,"created":"<time>","updated":"<time>","domain_id":%q,"tag_type":%d%s}`,
				member, tag, object(string(m.Data)), m.Digest, path, path, f.admin.Account, kind, more)
		}
		const more = `,"deleted":"","scanned":false` // as the SDK fills what is null or absent

		ok(f, c.ListRepositoryTags, repo(`,"limit":"10","offset":"0","order_column":"updated_at","order_type":"asc"`), 200,
			`{"Content-Range":"0-3/3","body":[`+row("Tag", "v1", image, 0, more)+`,`+row("Tag", "v2", image, 0, more)+`,`+row("Tag", "multi", index, 1, more)+`]}`)
		ok(f, c.ListRepositoryTags, repo(`,"tag":"v2"`), 200, `{"Content-Range":"0-1/1","body":[`+row("Tag", "v2", image, 0, more)+`]}`)
		ok(f, c.ListRepositoryTags, repo(`,"filter":"tag::v2|limit::10|offset::0"`), 200, `{"Content-Range":"0-1/1","body":"<any>"}`)
		ok(f, c.ListRepositoryTags, repo(`,"limit":"10","offset":"10"`), 200, `{"Content-Range":"10-0/3","body":[]}`)
		refused(f, c.ListRepositoryTags, `{"namespace":"`+f.org+`","repository":"none"}`, 404, "4040010")

		one := ok(f, c.ShowRepoTag, repo(`,"tag":"v1"`), 200, row("tag", "v1", image, 0, ""))
		var manifest struct {
			Config struct{ Digest string }
		}
		if err := json.Unmarshal(image.Data, &manifest); err != nil || "sha256:"+*one.ImageId != manifest.Config.Digest {
			f.Errorf("the image id is %s, its config %s", *one.ImageId, manifest.Config.Digest)
		}
		refused(f, c.ShowRepoTag, repo(`,"tag":"none"`), 404, "4040048")

		retag := func(body string) string { return repo(`,"body":` + body) }
		ok(f, c.CreateRepoTag, retag(`{"source_tag":"v1","destination_tag":"stable"}`), 201, `{}`)
		ok(f, c.ShowRepoTag, repo(`,"tag":"stable"`), 200, row("tag", "stable", image, 0, ""))
		refused(f, c.CreateRepoTag, retag(`{"source_tag":"none","destination_tag":"x"}`), 404, "4040048")
		refused(f, c.CreateRepoTag, retag(`{"source_tag":"multi","destination_tag":"stable"}`), 409, "4090006")
		ok(f, c.CreateRepoTag, retag(`{"source_tag":"multi","destination_tag":"stable","override":true}`), 201, `{}`)
		ok(f, c.ShowRepoTag, repo(`,"tag":"stable"`), 200, row("tag", "stable", index, 1, ""))
		refused(f, c.CreateRepoTag, retag(`{"source_tag":"v1","destination_tag":"-bad"}`), 400, "4000014")

		ok(f, c.DeleteRepoTag, repo(`,"tag":"v1"`), 204, `{}`)
		refused(f, c.DeleteRepoTag, repo(`,"tag":"v1"`), 404, "4040048")
		ok(f, c.ShowRepoTag, repo(`,"tag":"v2"`), 200, row("tag", "v2", image, 0, "")) // the same image's other tag

		refused(f, f.sdk(f.partner).ListRepositoryTags, repo(``), 403, "4039001")
		refused(f, f.sdk(f.partner).DeleteRepoTag, repo(`,"tag":"v2"`), 403, "4039001")
		editor := f.user("editor")
		f.Grant(f.T, f.repo("team/app"), editor.UserName, "edit")
		refused(f, f.sdk(editor).DeleteRepoTag, repo(`,"tag":"v2"`), 403, "4039002")
	})
}

func TestSDKTagsByMarker(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		image := f.push("app", "v0")
		for i := 1; i < 5; i++ {
			f.pushImage("app", fmt.Sprintf("v%d", i), image)
		}
		seen := map[string]bool{}
		marker := ""
		for range 10 {
			page := ok(f, c.ListRepositoryTag, `{"namespace":"`+f.org+`","repository":"app","limit":2`+marker+`}`, 200, `"<any>"`)
			for _, r := range *page.Tags {
				seen[r.Tag] = true
			}
			if page.NextMarker == nil || *page.NextMarker == "" || *page.NextMarker == "-1" {
				break
			}
			marker = fmt.Sprintf(`,"marker":%q`, *page.NextMarker)
		}
		if len(seen) != 5 {
			f.Errorf("the pages have %v", seen)
		}
		path := f.Host + "/" + f.org + "/app:v3"
		one := ok(f, c.ListRepositoryTag, `{"namespace":"`+f.org+`","repository":"app","tag":"v3","with_manifest":true}`, 200, `"<any>"`)
		if d := unlike(fmt.Sprintf(`[{"id":"<int>","repo_id":"<int>","tag":"v3","image_id":"<hex>","manifest":%s,"digest":%q,"schema":2,"path":%q,"internal_path":%q,
			"size":"<int>","is_trusted":false,"created":"<time>","updated":"<time>","domain_id":%q,"tag_type":0}]`, object(string(image.Data)), image.Digest, path, path, f.admin.Account),
			object(one.Tags)); d != "" {
			f.Error(d)
		}
	})
}

// What is attached to an image, and to which tags an attachment belongs.
func TestSDKAccessories(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		image := f.push("team/app", "v1")
		subject := image.Descriptor()
		sig := f.content.Artifact("application/vnd.dev.cosign.artifact.sig.v1+json", &subject, nil)
		tag := strings.Replace(string(image.Digest), ":", "-", 1) + ".sig"
		f.pushImage("team/app", tag, sig)
		at := func(tag, more string) string {
			return `{"namespace":"` + f.org + `","repository":"team$app","tag":"` + tag + `"` + more + `}`
		}
		ok(f, c.ListRepoAccessories, at("v1", `,"limit":10,"offset":0`), 200, fmt.Sprintf(`{"total":1,"accessories":[{"id":"<int>","domain_id":%q,"namespace_name":%q,
			"repo_name":"team/app","sig_tag":%q,"sig_digest":%q,"target_digest":%q,"size":"<int>","type":"<str>","created_at":"<time>","updated_at":"<time>"}]}`,
			f.admin.Account, f.org, tag, sig.Digest, image.Digest))
		ok(f, c.ListRepoAccessories, at("v1", `,"limit":10,"offset":10`), 200, `{"total":1,"accessories":[]}`)
		ok(f, c.ListReferences, at(tag, `,"limit":10`), 200, `{"tags":["v1"],"has_more":false,"next_marker":""}`)
		refused(f, c.ListRepoAccessories, at("none", ``), 404, "4040048")
		refused(f, c.ListReferences, at("none", ``), 404, "4040048")
		refused(f, f.sdk(f.partner).ListRepoAccessories, at("v1", ``), 403, "4039001")
	})
}
