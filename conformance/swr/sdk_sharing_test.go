package swr

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

func TestSDKSharing(t *testing.T) {
	each(t, func(f *fixture) {
		c, partner := f.sdk(f.admin), f.sdk(f.partner)
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		image := f.push("team/app", "v1")
		repo := func(more string) string {
			return `{"namespace":"` + f.org + `","repository":"team$app"` + more + `}`
		}
		domain := func(more string) string { return repo(`,"access_domain":"partner"` + more) }
		create := func(domain, permit, deadline, description string) string {
			return repo(`,"body":` + object(fields{"access_domain": domain, "permit": permit, "deadline": deadline, "description": description}))
		}
		share := func(deadline, description, status string) string {
			return fmt.Sprintf(`"namespace":%q,"repository":"team/app","access_domain":"partner","permit":"read","deadline":%q,"description":%q,
				"creator_id":%q,"creator_name":"admin","created":"<time>","updated":"<time>","status":%s`, f.org, deadline, description, f.admin.User, status)
		}
		const never = "2099-12-31T00:00:00Z"

		ok(f, c.ShowAccessDomain, domain(``), 200, `{"exist":false}`)
		ok(f, c.ListRepoDomains, repo(``), 200, `{"body":[]}`)
		refused(f, c.UpdateRepoDomains, domain(`,"body":{"permit":"read","deadline":"forever"}`), 404, "4040091")
		refused(f, c.DeleteRepoDomains, domain(``), 404, "4040091")

		ok(f, c.CreateRepoDomains, create("partner", "read", "forever", "for the partner"), 201, `{}`)
		refused(f, c.CreateRepoDomains, create("partner", "read", "forever", ""), 409, "4090089")
		ok(f, c.ShowAccessDomain, domain(``), 200, `{"exist":true,`+share("forever", "for the partner", "true")+`}`)
		ok(f, c.ListRepoDomains, repo(``), 200, `{"body":[{`+share("forever", "for the partner", "true")+`}]}`)
		f.pulls(f.partner, "team/app", image, true)

		for given, shown := range map[string]string{
			"2099-12-31": never, "2099-12-31T16:00:00.000Z": "2099-12-31T16:00:00Z", "2099-12-31T16:00:00+08:00": "2099-12-31T08:00:00Z",
		} {
			ok(f, c.UpdateRepoDomains, domain(`,"body":{"permit":"read","deadline":"`+given+`"}`), 201, `{}`)
			ok(f, c.ShowAccessDomain, domain(``), 200, `{"exist":true,`+share(shown, "", "true")+`}`) // a description left out is empty
		}
		ok(f, c.UpdateRepoDomains, domain(`,"body":{"permit":"read","deadline":"`+time.Now().UTC().Format(time.DateOnly)+`","description":"today"}`), 201, `{}`)
		f.pulls(f.partner, "team/app", image, true) // until the day ends

		// Both lists of what is shared.
		row := func(status string) string {
			path := f.Host + "/" + f.org + "/team/app"
			return fmt.Sprintf(`[{"name":"team/app","category":"other","description":"","size":"<int>","is_public":false,"num_images":1,"num_download":"<int>",
				"created_at":"<time>","updated_at":"<time>","logo":"","url":"","path":%q,"internal_path":%q,"domain_name":"admin","namespace":%q,
				"tags":["v1"],"status":%s,"total_range":1}]`, path, path, f.org, status)
		}
		ok(f, c.ListSharedReposDetails, `{"center":"self","namespace":"`+f.org+`"}`, 200, `{"body":`+row("false")+`}`)
		ok(f, partner.ListSharedReposDetails, `{"center":"thirdparty","namespace":"`+f.org+`","limit":"10","offset":"0"}`, 200, `{"body":`+row("true")+`,"Content-Range":"0-1/1"}`)
		ok(f, partner.ListSharedReposDetails, `{"center":"self","filter":"center::thirdparty|namespace::`+f.org+`|limit::10|offset::0"}`, 200, `{"body":`+row("true")+`,"Content-Range":"0-1/1"}`)
		ok(f, partner.ListSharedReposDetails, `{"center":"self","namespace":"`+f.org+`"}`, 200, `{"body":[]}`)
		v3 := func(status string) string {
			return `{"repos":[{"id":"<int>","name":"team/app","category":"other","description":"","size":"<int>","num_images":1,"num_download":"<int>","is_public":false,
				"created_at":"<time>","updated_at":"<time>","domain_name":"admin","namespace_name":"` + f.org + `","status":` + status + `}]`
		}
		three := ok(f, partner.ListSharedRepoDetails, `{"shared_by":"thirdparty","namespace":"`+f.org+`"}`, 200, `"<any>"`)
		three.NextMarker = nil
		if d := unlike(v3("true")+`}`, object(three)); d != "" {
			f.Error(d)
		}
		ok(f, c.ListSharedRepoDetails, `{"shared_by":"self","namespace":"`+f.org+`"}`, 200, `"<any>"`)

		refused(f, c.CreateRepoDomains, create("partner", "write", "forever", ""), 400, "4001066")
		refused(f, c.CreateRepoDomains, create("nobody-knows", "read", "forever", ""), 400, "4001041")
		refused(f, c.UpdateRepoDomains, domain(`,"body":{"permit":"read","deadline":"2001-01-01"}`), 400, "4000014")
		refused(f, c.UpdateRepoDomains, domain(`,"body":{"permit":"read","deadline":"soon"}`), 400, "4000014")
		refused(f, c.UpdateRepoDomains, domain(`,"body":{"permit":"read","deadline":"forever","description":"`+strings.Repeat("x", 1001)+`"}`), 413, "4131012")
		refused(f, partner.ListRepoDomains, repo(``), 403, "4039001")
		editor := f.user("editor")
		f.Grant(f.T, f.org, editor.UserName, "edit")
		refused(f, f.sdk(editor).CreateRepoDomains, create("partner", "read", "forever", ""), 403, "4039002")

		ok(f, c.DeleteRepoDomains, domain(``), 204, `{}`)
		ok(f, c.ShowAccessDomain, domain(``), 200, `{"exist":false}`)
		f.pulls(f.partner, "team/app", image, false)

		ok(f, c.UpdateRepo, repo(`,"body":{"is_public":true}`), 201, `{}`)
		refused(f, c.CreateRepoDomains, create("partner", "read", "forever", ""), 400, "4000014") // everyone may pull already
		f.pulls(f.partner, "team/app", image, true)
	})
}

// pulls checks whether the owner of a key may pull an image.
func (f *fixture) pulls(k berthtest.AccessKey, name string, m *images.Manifest, may bool) {
	f.Helper()
	l := k.Login()
	c, err := wire.New(f.URL(), f.Server.Client(), wire.Token, l.User, l.Password)
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{wire.Manifest(f.repo(name), m.Digest.String()), wire.Blob(f.repo(name), m.Blobs[0].Digest)} {
		resp, err := c.Send(f.Context(), wire.Request{Method: "GET", To: path})
		if err != nil {
			f.Fatal(err)
		}
		if got := resp.Status == 200; got != may {
			f.Errorf("%s gets %d for %s", k.UserName, resp.Status, path)
		}
	}
}
