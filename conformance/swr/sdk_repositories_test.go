package swr

import (
	"fmt"
	"strings"
	"testing"
)

func TestSDKRepositories(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		org := f.org
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+org+`"}}`, 201, `{}`)
		create := func(body string) string { return `{"namespace":"` + org + `","body":` + body + `}` }
		at := func(name string) string { return `{"namespace":"` + org + `","repository":"` + name + `"}` }
		shown := func(name, category, description, public string) string {
			path := f.Host + "/" + org + "/" + name
			return fmt.Sprintf(`{"id":"<int>","ns_id":"<int>","name":%q,"category":%q,"description":%q,"creator_id":%q,"creator_name":"admin",
				"size":0,"is_public":%s,"num_images":0,"num_download":0,"url":"","path":%q,"internal_path":%q,"created":"<time>","updated":"<time>",
				"domain_id":%q,"priority":0}`, name, category, description, f.admin.User, public, path, path, f.admin.Account)
		}

		ok(f, c.CreateRepo, create(`{"repository":"busybox","category":"linux","description":"this is a busybox repository","is_public":true}`), 201, `{}`)
		ok(f, c.ShowRepository, at("busybox"), 200, shown("busybox", "linux", "this is a busybox repository", "true"))
		ok(f, c.CreateRepo, create(`{"repository":"team/app","is_public":false}`), 201, `{}`)
		ok(f, c.ShowRepository, at("team$app"), 200, shown("team/app", "other", "", "false"))
		ok(f, c.CreateRepo, create(`{"repository":"arm","category":"arms","is_public":false}`), 201, `{}`)
		ok(f, c.ShowRepository, at("arm"), 200, shown("arm", "arm", "", "false"))
		refused(f, c.CreateRepo, create(`{"repository":"busybox","is_public":false}`), 409, "4090006")
		refused(f, c.CreateRepo, create(`{"repository":"x","category":"games","is_public":false}`), 400, "4000014")
		refused(f, c.CreateRepo, create(`{"repository":"x","is_public":false,"description":"`+strings.Repeat("x", 30001)+`"}`), 413, "4131012")
		for _, bad := range []string{"Upper", "-x", "x-", "a..b", "a//b", "a--b", strings.Repeat("a", 129)} {
			refused(f, c.CreateRepo, create(`{"repository":"`+bad+`","is_public":false}`), 400, "4001029")
		}
		refused(f, c.CreateRepo, `{"namespace":"`+org+`"}`, 400, "4001018") // no body at all
		refused(f, c.CreateRepo, `{"namespace":"`+org+`none","body":{"repository":"x","is_public":false}}`, 404, "4040058")

		update := func(name, body string) string {
			return `{"namespace":"` + org + `","repository":"` + name + `","body":` + body + `}`
		}
		ok(f, c.UpdateRepo, update("busybox", `{"category":"database","description":"new","is_public":false}`), 201, `{}`)
		ok(f, c.ShowRepository, at("busybox"), 200, shown("busybox", "database", "new", "false"))
		ok(f, c.UpdateRepo, update("busybox", `{"is_public":true}`), 201, `{}`) // the rest stays
		ok(f, c.ShowRepository, at("busybox"), 200, shown("busybox", "database", "new", "true"))
		ok(f, c.UpdateRepo, update("team$app", `{"category":"windows","is_public":false}`), 201, `{}`)
		refused(f, c.UpdateRepo, update("none", `{"is_public":false}`), 404, "4040010")
		refused(f, c.UpdateRepo, update("busybox", `{"is_public":false,"category":"games"}`), 400, "4000014")

		f.push("busybox", "v1")
		refused(f, c.DeleteRepo, at("busybox"), 406, "4060012")
		ok(f, c.DeleteRepo, at("team$app"), 204, `{}`)
		refused(f, c.DeleteRepo, at("team$app"), 404, "4040010")
		refused(f, c.ShowRepository, at("team$app"), 404, "4040010")

		partner := f.sdk(f.partner)
		for _, name := range []string{"busybox", "none"} {
			refused(f, partner.ShowRepository, at(name), 403, "4039001")
			refused(f, partner.DeleteRepo, at(name), 403, "4039001")
			refused(f, partner.UpdateRepo, update(name, `{"is_public":false}`), 403, "4039001")
		}
		refused(f, partner.CreateRepo, create(`{"repository":"x","is_public":false}`), 403, "4039001")

		reader := f.user("reader")
		f.Grant(f.T, org, reader.UserName, "read")
		ok(f, f.sdk(reader).ShowRepository, at("busybox"), 200, `"<any>"`)
		refused(f, f.sdk(reader).CreateRepo, create(`{"repository":"x","is_public":false}`), 403, "4039002")
		refused(f, f.sdk(reader).UpdateRepo, update("busybox", `{"is_public":false}`), 403, "4039002")
		refused(f, f.sdk(reader).DeleteRepo, at("busybox"), 403, "4039002")
	})
}

func TestSDKListsRepositories(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		f.org = "unlike-others" // no other name contains a part of it
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		for i := range 15 {
			ok(f, c.CreateRepo, fmt.Sprintf(`{"namespace":%q,"body":{"repository":"app-%02d","category":"linux","is_public":%t}}`, f.org, i, i%3 == 0), 201, `{}`)
		}
		image := f.push("app-00", "v1")
		f.pushImage("app-00", "v2", image)

		page := ok(f, c.ListReposDetails, `{"namespace":"`+f.org+`","limit":"10","offset":"10","order_column":"name","order_type":"asc"}`, 200,
			`{"body":"<any>","Content-Range":"10-5/15"}`)
		for i, row := range *page.Body {
			if row.Name != fmt.Sprintf("app-%02d", 10+i) || row.TotalRange != 15 {
				f.Errorf("row %d: %s of %d", i, row.Name, row.TotalRange)
			}
		}
		path := f.Host + "/" + f.org + "/app-00"
		ok(f, c.ListReposDetails, `{"filter":"namespace::`+f.org+`|name::pp-00|category::linux|limit::10|offset::0|order_column::name|order_type::desc"}`, 200,
			fmt.Sprintf(`{"Content-Range":"0-1/1","body":[{"name":"app-00","category":"linux","description":"","size":"<int>","is_public":true,"num_images":2,
				"num_download":0,"created_at":"<time>","updated_at":"<time>","logo":"","url":"","path":%q,"internal_path":%q,"domain_name":"admin",
				"namespace":%q,"tags":["v1","v2"],"status":"<bool>","total_range":1}]}`, path, path, f.org))
		ok(f, c.ListReposDetails, `{"namespace":"`+f.org+`","limit":"10"}`, 200, `{"body":"<any>"}`)                                              // half a pair says nothing
		ok(f, c.ListReposDetails, `{"filter":"namespace::`+f.org[1:]+`|limit::10|offset::0"}`, 200, `{"body":"<any>","Content-Range":"0-10/15"}`) // a part of a name
		ok(f, c.ListReposDetails, `{"namespace":"`+f.org[1:]+`"}`, 200, `{"body":[]}`)                                                            // only in a filter
		ok(f, c.ListReposDetails, `{"namespace":"none-of-these","filter":"namespace::`+f.org+`|limit::1|offset::14"}`, 200, `{"body":"<any>","Content-Range":"14-1/15"}`)
		ok(f, c.ListReposDetails, `{"namespace":"`+f.org+`","limit":"10","offset":"100"}`, 200, `{"body":[],"Content-Range":"100-0/15"}`)
		ok(f, c.ListReposDetails, `{"namespace":"`+f.org+`","name":"none"}`, 200, `{"body":[]}`)
		for _, bad := range []string{`"limit":"0","offset":"0"`, `"limit":"x","offset":"0"`, `"limit":"10","offset":"-1"`, `"order_column":"size","order_type":"asc"`, `"order_column":"name","order_type":"up"`} {
			refused(f, c.ListReposDetails, `{`+bad+`}`, 400, "4001025")
		}
		refused(f, c.ListReposDetails, `{"filter":"namespace"}`, 400, "4001035")
		ok(f, f.sdk(f.partner).ListReposDetails, `{"namespace":"`+f.org+`"}`, 200, `{"body":[]}`)
	})
}

func TestSDKListsRepositoriesByMarker(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		for i := range 5 {
			ok(f, c.CreateRepo, fmt.Sprintf(`{"namespace":%q,"body":{"repository":"app-%d","is_public":%t}}`, f.org, i, i == 0), 201, `{}`)
		}
		seen := map[string]bool{}
		marker := ""
		for range 10 {
			page := ok(f, c.ListRepoDetails, `{"namespace":"`+f.org+`","limit":2`+marker+`}`, 200, `"<any>"`)
			for _, r := range *page.Repos {
				if seen[r.Name] {
					f.Errorf("%s comes twice", r.Name)
				}
				seen[r.Name] = true
			}
			if page.NextMarker == nil || *page.NextMarker == -1 {
				break
			}
			marker = fmt.Sprintf(`,"marker":%d`, *page.NextMarker)
		}
		if len(seen) != 5 {
			f.Errorf("the pages have %v", seen)
		}
		one := ok(f, c.ListRepoDetails, `{"namespace":"`+f.org+`","is_public":true}`, 200, `"<any>"`)
		if d := unlike(`[{"id":"<int>","name":"app-0","category":"other","description":"","size":0,"num_images":0,"num_download":0,"is_public":true,
			"created_at":"<time>","updated_at":"<time>","domain_name":"admin","namespace_name":"`+f.org+`","status":"<bool>"}]`, object(one.Repos)); d != "" {
			f.Error(d)
		}
	})
}
