package swr

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// byBoth runs a test with a client that signs and with one that logs in, each
// with an organization of its own.
func byBoth(t *testing.T, test func(c *terraform)) {
	each(t, func(f *fixture) {
		f.Run("key", func(t *testing.T) {
			g := *f
			g.T, g.org = t, f.org+"-key"
			test(g.withKey(f.admin))
		})
		f.Run("password", func(t *testing.T) {
			g := *f
			g.T, g.org = t, f.org+"-password"
			test(g.withPassword(f.Admin(), "admin", f.admin.User))
		})
	})
}

const namespaces = "/v2/manage/namespaces"

// at is a path below the test's organization.
func (c *terraform) at(below string) string { return namespaces + "/" + c.org + below }

// organization makes the test's organization as the provider does.
func (c *terraform) organization() {
	c.Helper()
	c.do("POST", namespaces, `{"namespace":"`+c.org+`"}`, true, 201)
	if c.Failed() {
		c.FailNow() // nothing else will do
	}
}

func TestTerraformOrganization(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		c.want(c.at(""), `{"id":"<int>","name":"`+c.org+`","creator_name":"admin","auth":7,"description":"","is_public":false}`)
		c.do("DELETE", c.at(""), "", false, 204)
		c.gone(c.at(""))
	})
}

func TestTerraformOrganizationPermissions(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		users := map[string]string{}
		for _, name := range []string{"read", "write", "manage", "more"} {
			k := c.user(name)
			users[name] = k.User
			// The provider asks for the name of every user that has none.
			c.want("/v3.0/OS-USER/users/"+k.User, `"<any>"`)
		}
		grants := func(list ...string) string {
			var out []fields
			for _, g := range list {
				name, auth, _ := strings.Cut(g, ":")
				n, _ := strconv.Atoi(auth)
				out = append(out, fields{"user_id": users[name], "user_name": strings.ToLower(c.org + "-" + name), "auth": n})
			}
			return object(out)
		}
		self := object(fields{"user_id": c.key.User, "user_name": "admin", "auth": 7})
		c.do("POST", c.at("/access"), grants("manage:7", "read:1", "write:3"), true, 200, 201, 202)
		c.want(c.at("/access"), `{"id":"<int>","name":"`+c.org+`","creator_name":"admin","self_auth":`+self+`,"others_auths":`+grants("manage:7", "read:1", "write:3")+`}`)

		// A change is a deletion and a creation, and keeps the order.
		c.do("DELETE", c.at("/access"), object([]string{users["manage"], users["read"], users["write"]}), false, 200, 202, 204)
		c.do("POST", c.at("/access"), grants("more:7", "write:1", "read:3", "manage:1"), true, 200, 201, 202)
		c.want(c.at("/access"), `{"id":"<int>","name":"`+c.org+`","creator_name":"admin","self_auth":`+self+`,"others_auths":`+grants("more:7", "write:1", "read:3", "manage:1")+`}`)
		c.do("DELETE", c.at("/access"), object([]string{users["more"], users["write"], users["read"], users["manage"]}), false, 200, 202, 204)
		c.do("DELETE", c.at(""), "", false, 204)
		c.gone(c.at("/access"))
	})
}

func TestTerraformRepository(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		for _, name := range []string{"app", "team/app"} {
			at := c.at("/repos/" + strings.ReplaceAll(name, "/", "$"))
			c.do("POST", c.at("/repos"), `{"repository":"`+name+`","category":"linux","description":"Created by Terraform","is_public":false}`, true, 200, 201, 202)
			var repo struct {
				Name, Category, Description, Path string
				IsPublic                          *bool `json:"is_public"`
			}
			c.read(at, &repo)
			if repo.Name != name || repo.Category != "linux" || repo.Description != "Created by Terraform" || repo.IsPublic == nil || *repo.IsPublic || repo.Path != c.Host+"/"+c.repo(name) {
				c.Errorf("it reads %s", object(repo))
			}
			c.do("PATCH", at, `{"is_public":true,"category":"windows","description":"Updated by Terraform"}`, true, 201)
			c.read(at, &repo)
			if repo.Category != "windows" || repo.Description != "Updated by Terraform" || !*repo.IsPublic {
				c.Errorf("it reads %s", object(repo))
			}
			c.do("DELETE", at, "", false, 200, 202, 204)
			c.gone(at)
		}
		c.do("POST", c.at("/repos"), `{"repository":"plain","is_public":false}`, true, 200, 201, 202)
		c.do("DELETE", c.at("/repos/plain"), "", false, 200, 202, 204)
		c.do("DELETE", c.at(""), "", false, 204)
	})
}

func TestTerraformSharing(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		c.do("POST", c.at("/repos"), `{"repository":"app","is_public":false}`, true, 200, 201, 202)
		all := c.at("/repositories/app/access-domains")
		one := all + "/partner"
		type share struct {
			Exist, Status                              *bool
			AccessDomain                               string `json:"access_domain"`
			Permit, Deadline, Description, CreatorName string
		}
		c.do("POST", all, `{"access_domain":"partner","permit":"read","deadline":"forever","description":"d"}`, true, 200, 201, 202)
		var s share
		c.read(one, &s)
		if s.Exist == nil || !*s.Exist || s.Deadline != "forever" || s.Permit != "read" || s.AccessDomain != "partner" || s.Status == nil || !*s.Status {
			c.Errorf("it reads %s", object(s))
		}
		c.do("PATCH", one, `{"permit":"read","deadline":"2099-12-31T00:00:00Z","description":"d"}`, true, 201)
		c.read(one, &s)
		if len(s.Deadline) < 10 || s.Deadline[:10] != "2099-12-31" {
			c.Errorf("the deadline reads %q", s.Deadline)
		}
		var shares []share
		c.read(all, &shares)
		if len(shares) != 1 || shares[0].AccessDomain != "partner" {
			c.Errorf("the shares are %s", object(shares))
		}
		c.do("DELETE", one, "", false, 200, 202, 204)
		var after share
		c.read(one, &after)
		if after.Exist == nil || *after.Exist {
			c.Errorf("it is still there: %s", object(after))
		}
		c.do("DELETE", one, "", false, 404)
		c.want(all, `[]`)
	})
}

func TestTerraformImagePermissions(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		c.do("POST", c.at("/repos"), `{"repository":"team/app","is_public":false}`, true, 200, 201, 202)
		access := c.at("/repos/team$app/access")
		var ids []string
		var list []fields
		for i, name := range []string{"manage", "read", "write"} {
			k := c.user("image-" + name)
			ids = append(ids, k.User)
			list = append(list, fields{"user_id": k.User, "user_name": k.UserName, "auth": []int{7, 1, 3}[i]})
		}
		self := object(fields{"user_id": c.key.User, "user_name": "admin", "auth": 7})
		c.do("POST", access, object(list), true, 201)
		c.want(access, `{"id":"<int>","name":"team/app","self_auth":`+self+`,"others_auths":`+object(list)+`}`)
		c.do("DELETE", access, object(ids), false, 204)
		c.want(access, `{"id":"<int>","name":"team/app","self_auth":`+self+`,"others_auths":[]}`)
	})
}

func TestTerraformRetentionPolicy(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		c.do("POST", c.at("/repos"), `{"repository":"app","is_public":false}`, true, 200, 201, 202)
		all := c.at("/repos/app/retentions")
		rule := func(template, name, value, selectors string) string {
			return `{"algorithm":"or","rules":[{"template":"` + template + `","params":{"` + name + `":"` + value + `"},"tag_selectors":` + selectors + `}]}`
		}
		const selectors = `[{"kind":"label","pattern":"abc"},{"kind":"regexp","pattern":"abc*"}]`
		_, body := c.do("POST", all, rule("date_rule", "days", "30", selectors), true, 201)
		var made struct{ ID json.Number }
		if err := json.Unmarshal(body, &made); err != nil || made.ID == "" {
			c.Fatalf("the id is %s", body)
		}
		one := all + "/" + made.ID.String()
		shown := func(rule string) string {
			return `{"id":` + made.ID.String() + `,"scope":"",` + strings.TrimPrefix(rule, "{")
		}
		c.want(one, shown(rule("date_rule", "days", "30", selectors)))
		const others = `[{"kind":"label","pattern":"xyz"}]`
		c.do("PATCH", one, rule("date_rule", "days", "25", others), true, 201)
		c.want(one, shown(rule("date_rule", "days", "25", others)))
		c.want(all, `[`+shown(rule("date_rule", "days", "25", others))+`]`)
		c.do("DELETE", one, "", true, 200)
		c.gone(one)
		c.do("DELETE", one, "", false, 404)
		c.want(all, `[]`)
	})
}

func TestTerraformTrigger(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		c.do("POST", c.at("/repos"), `{"repository":"app","is_public":false}`, true, 200, 201, 202)
		all := c.at("/repos/app/triggers")
		const body = `"name":"by-terraform","action":"update","app_type":"deployments","application":"web","cluster_id":"c1","cluster_name":"cluster","cluster_ns":"default","condition":".*","trigger_mode":"cce","trigger_type":"all"`
		shown := func(enable, history string) string {
			return `{` + body + `,"container":"","created_at":"<time>","creator_name":"admin","enable":"` + enable + `","trigger_history":` + history + `}`
		}
		c.do("POST", all, `{`+body+`,"enable":"true"}`, true, 201)
		c.want(all+"/by-terraform", shown("true", "[]"))
		c.want(all, `[`+shown("true", "null")+`]`)
		c.do("PATCH", all+"/by-terraform", `{"enable":"false"}`, true, 201)
		c.want(all+"/by-terraform", shown("false", "[]"))
		c.do("DELETE", all+"/by-terraform", "", false, 204)
		c.gone(all + "/by-terraform")
		c.want(all, `[]`)
	})
}

func TestTerraformSynchronization(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		c.push("app", "v1")
		at := c.at("/repos/app/sync_repo")
		c.do("POST", at, `{"remoteRegionId":"region-2","remoteNamespace":"there","syncAuto":true,"override":true}`, true, 200)
		var rules []struct {
			RemoteRegionID  string `json:"remoteRegionId"`
			RemoteNamespace string `json:"remoteNamespace"`
			SyncAuto        *bool  `json:"syncAuto"`
			Override        *bool  `json:"override"`
		}
		c.read(at, &rules)
		if len(rules) != 1 || rules[0].RemoteRegionID != "region-2" || rules[0].RemoteNamespace != "there" || !*rules[0].Override || !*rules[0].SyncAuto {
			c.Errorf("it reads %s", object(rules))
		}
		c.do("GET", at+"/differences?remoteRegionId=region-2&remoteNamespace=there", "", true, 200)
		c.do("POST", at+"/reconcile", `{"remoteRegionId":"region-2","remoteNamespace":"there"}`, true, 200)
		c.do("DELETE", at, `{"remoteRegionId":"region-2","remoteNamespace":"there"}`, true, 200)
		c.want(at, `[]`)
		c.do("DELETE", at, `{"remoteRegionId":"region-2","remoteNamespace":"there"}`, false, 404)

		c.do("POST", c.at("/repos/app/sync_images"), `{"imageTag":["v1"],"remoteRegionId":"region-2","remoteNamespace":"there","override":false}`, true, 200, 201, 202)
		jobs := 0
		for offset := 0; offset < 100; offset += 10 {
			var page []any
			c.read(c.at(fmt.Sprintf("/repos/app/sync_job?filter=limit::10|offset::%d", offset)), &page)
			if len(page) == 0 {
				break
			}
			jobs += len(page)
		}
		if jobs != 1 {
			c.Errorf("there are %d jobs", jobs)
		}
	})
}

func TestTerraformTag(t *testing.T) {
	byBoth(t, func(c *terraform) {
		c.organization()
		c.push("team/app", "v1")
		all := c.at("/repos/team$app/tags")
		c.do("POST", all, `{"source_tag":"v1","destination_tag":"v2","override":true}`, true, 200, 201, 202)
		var tag struct {
			Tag, Digest, Path string
			ImageID           string `json:"image_id"`
		}
		c.read(all+"/v2", &tag)
		if tag.Tag != "v2" || tag.Digest == "" || tag.Path != c.Host+"/"+c.repo("team/app")+":v2" || len(tag.ImageID) != 64 {
			c.Errorf("it reads %s", object(tag))
		}
		c.do("DELETE", all+"/v2", "", false, 200, 202, 204)
		c.gone(all + "/v2")
		c.read(all+"/v1", &tag)
	})
}

func TestTerraformLoginCommands(t *testing.T) {
	byBoth(t, func(c *terraform) {
		for _, to := range []string{"/v2/manage/utils/secret", "/v2/manage/utils/secret?projectname=" + region, "/v2/manage/utils/authorizationtoken"} {
			h, body := c.do("POST", to, "", true, 200, 201, 202)
			var answer struct {
				Auths map[string]struct{ Auth string }
			}
			if err := json.Unmarshal(body, &answer); err != nil || answer.Auths[c.Host].Auth == "" || !dockerLogin.MatchString(h.Get("X-Swr-Dockerlogin")) || h.Get("X-Swr-Expireat") == "" {
				c.Errorf("%s: %v %s", to, h, body)
			}
		}
	})
}

func TestTerraformAgency(t *testing.T) {
	each(t, func(f *fixture) {
		name := strings.ToLower(f.org)
		f.Account(f.T, name)
		c := f.withKey(f.AccessKey(f.T, name, name))
		var a struct {
			IsAgency *bool `json:"is_agency"`
		}
		c.read("/v2/manage/agency", &a)
		if a.IsAgency == nil || *a.IsAgency {
			f.Errorf("an account has an agency from the start: %s", object(a))
		}
		c.do("POST", "/v2/manage/agency", "", false, 204)
		c.read("/v2/manage/agency", &a)
		if !*a.IsAgency {
			f.Error("the agency that was made is not there")
		}
		c.do("POST", "/v2/manage/agency", "", false, 409)
	})
}
