package swr

import (
	"strings"
	"testing"
)

func TestSDKOrganizations(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		org := f.org
		create := `{"body":{"namespace":"` + org + `"}}`
		here := `{"namespace":"` + org + `"}`
		namespace := `{"id":"<int>","name":"` + org + `","creator_name":"admin","auth":7}`

		refused(f, c.ShowNamespace, here, 404, "4040058")
		ok(f, c.CreateNamespace, create, 201, `{}`)
		refused(f, c.CreateNamespace, create, 409, "4090060")
		ok(f, c.ShowNamespace, here, 200, namespace)
		ok(f, c.ListNamespaces, here, 200, `{"namespaces":[`+namespace+`]}`)
		ok(f, c.ListNamespaces, `{"filter":"namespace::`+org+`|mode::visible"}`, 200, `{"namespaces":[`+namespace+`]}`)
		ok(f, c.ListNamespaces, `{"namespace":"none-of-these"}`, 200, `{"namespaces":[]}`)
		ok(f, c.ListNamespaces, `{"filter":"namespace::none-of-these"}`, 200, `{"namespaces":[]}`)
		refused(f, c.ListNamespaces, `{"filter":"namespace"}`, 400, "4001035")

		for _, bad := range []string{"Upper", "-dash", "a..b", "a--b", "a___b", "end-", "1digit", "library", "manage", strings.Repeat("a", 65)} {
			refused(f, c.CreateNamespace, `{"body":{"namespace":"`+bad+`"}}`, 400, "4001028")
		}
		refused(f, c.CreateNamespace, `{}`, 400, "4001018")

		partner := f.sdk(f.partner)
		refused(f, partner.CreateNamespace, create, 409, "4090060")
		refused(f, partner.ShowNamespace, here, 403, "4039001")
		refused(f, partner.DeleteNamespaces, here, 403, "4039001")
		ok(f, partner.ListNamespaces, here, 200, `{"namespaces":[]}`)

		f.push("app", "v1")
		refused(f, c.DeleteNamespaces, here, 406, "4060053")
		ok(f, c.DeleteRepoTag, `{"namespace":"`+org+`","repository":"app","tag":"v1"}`, 204, `{}`)
		refused(f, c.DeleteNamespaces, here, 406, "4060053") // an empty repository is one, too
		ok(f, c.DeleteRepo, `{"namespace":"`+org+`","repository":"app"}`, 204, `{}`)
		ok(f, c.DeleteNamespaces, here, 204, `{}`)
		refused(f, c.DeleteNamespaces, here, 404, "4040058")
	})
}

func TestSDKOrganizationRights(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		first, second := f.user("first"), f.user("second")
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		here := `{"namespace":"` + f.org + `"}`
		with := func(body string) string { return `{"namespace":"` + f.org + `","body":` + body + `}` }
		grant := func(id, name string, auth int) string {
			return object(fields{"user_id": id, "user_name": name, "auth": auth})
		}
		one := grant(first.User, first.UserName, 1)
		two := grant(second.User, second.UserName, 3)
		self := grant(f.admin.User, "admin", 7)
		rights := func(others string) string {
			return `{"id":"<int>","name":"` + f.org + `","creator_name":"admin","self_auth":` + self + `,"others_auths":[` + others + `]}`
		}

		refused(f, f.sdk(first).ShowNamespace, here, 403, "4039002")
		ok(f, c.CreateNamespaceAuth, with(`[`+two+`,`+one+`]`), 201, `{}`)
		ok(f, c.ShowNamespaceAuth, here, 200, rights(two+","+one))
		refused(f, c.CreateNamespaceAuth, with(`[`+one+`]`), 409, "4090076")
		ok(f, f.sdk(first).ShowNamespace, here, 200, `{"id":"<int>","name":"`+f.org+`","creator_name":"admin","auth":1}`)
		refused(f, f.sdk(first).ShowNamespaceAuth, `{"namespace":"`+f.org+`x"}`, 404, "4040058")
		refused(f, f.sdk(first).DeleteNamespaceAuth, with(`["`+second.User+`"]`), 403, "4039002")
		refused(f, f.sdk(second).CreateNamespaceAuth, with(`[`+one+`]`), 403, "4039002")

		raised := grant(first.User, first.UserName, 7)
		ok(f, c.UpdateNamespaceAuth, with(`[`+raised+`]`), 201, `{}`)
		ok(f, c.ShowNamespaceAuth, here, 200, rights(two+","+raised))
		ok(f, f.sdk(first).ShowNamespaceAuth, here, 200, `{"id":"<int>","name":"`+f.org+`","creator_name":"admin","self_auth":`+raised+`,"others_auths":"<any>"}`)

		refused(f, c.CreateNamespaceAuth, with(`[`+grant(first.User, first.UserName, 2)+`]`), 400, "4001065")
		refused(f, c.CreateNamespaceAuth, with(`[`+grant("0123456789abcdef0123456789abcdef", "nobody", 1)+`]`), 400, "4001067")
		refused(f, c.CreateNamespaceAuth, with(`[`+grant(f.partner.User, "partner", 1)+`]`), 400, "4001067")
		refused(f, c.UpdateNamespaceAuth, with(`[`+grant(first.User, "another-name", 1)+`]`), 400, "4001067")

		ok(f, c.DeleteNamespaceAuth, with(`["`+first.User+`","`+second.User+`","no-such-user"]`), 204, `{}`)
		refused(f, c.UpdateNamespaceAuth, with(`[`+one+`]`), 404, "4040078")
		ok(f, c.ShowNamespaceAuth, here, 200, rights(""))
		refused(f, f.sdk(first).ShowNamespace, here, 403, "4039002")
		refused(f, f.sdk(f.partner).ShowNamespaceAuth, here, 403, "4039001")
		refused(f, f.sdk(f.partner).CreateNamespaceAuth, with(`[]`), 403, "4039001")
	})
}

func TestSDKRepositoryRights(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.sdk(f.admin)
		first, second := f.user("first"), f.user("second")
		ok(f, c.CreateNamespace, `{"body":{"namespace":"`+f.org+`"}}`, 201, `{}`)
		f.push("team/app", "v1")
		f.push("other", "v1")
		here := `{"namespace":"` + f.org + `","repository":"team$app"}`
		with := func(body string) string {
			return `{"namespace":"` + f.org + `","repository":"team$app","body":` + body + `}`
		}
		grant := func(id, name string, auth int) string {
			return object(fields{"user_id": id, "user_name": name, "auth": auth})
		}
		one := grant(first.User, first.UserName, 7)
		two := grant(second.User, second.UserName, 1)
		rights := func(self, others string) string {
			return `{"id":"<int>","name":"team/app","self_auth":` + self + `,"others_auths":[` + others + `]}`
		}
		self := grant(f.admin.User, "admin", 7)

		ok(f, c.ShowUserRepositoryAuth, here, 200, rights(self, ""))
		ok(f, c.CreateUserRepositoryAuth, with(`[`+two+`,`+one+`]`), 201, `{}`)
		ok(f, c.ShowUserRepositoryAuth, here, 200, rights(self, two+","+one))
		refused(f, c.CreateUserRepositoryAuth, with(`[`+two+`]`), 409, "4090089")
		refused(f, c.CreateUserRepositoryAuth, with(`[`+grant(second.User, second.UserName, 4)+`]`), 400, "4001066")

		// A right on a repository alone shows the organization where what is
		// visible is asked for, with nothing on it, and that repository.
		ok(f, f.sdk(second).ListNamespaces, `{"filter":"namespace::`+f.org+`"}`, 200, `{"namespaces":[]}`)
		ok(f, f.sdk(second).ListNamespaces, `{"filter":"namespace::`+f.org+`|mode::visible"}`, 200, `{"namespaces":[{"id":"<int>","name":"`+f.org+`","creator_name":"admin","auth":0}]}`)
		rows := ok(f, f.sdk(second).ListReposDetails, `{"namespace":"`+f.org+`"}`, 200, `{"body":"<any>"}`)
		if len(*rows.Body) != 1 || (*rows.Body)[0].Name != "team/app" || (*rows.Body)[0].TotalRange != 1 {
			f.Errorf("a user with one repository sees %s", object(rows))
		}
		refused(f, f.sdk(second).ShowRepository, `{"namespace":"`+f.org+`","repository":"other"}`, 403, "4039002")

		ok(f, f.sdk(first).ShowUserRepositoryAuth, here, 200, rights(one, two))
		refused(f, f.sdk(first).UpdateUserRepositoryAuth, with(`[`+one+`]`), 403, "4039002") // nobody changes his own
		ok(f, f.sdk(first).UpdateUserRepositoryAuth, with(`[`+grant(second.User, second.UserName, 3)+`]`), 201, `{}`)
		refused(f, f.sdk(second).CreateUserRepositoryAuth, with(`[`+one+`]`), 403, "4039002")
		ok(f, c.DeleteUserRepositoryAuth, with(`["`+first.User+`","`+second.User+`"]`), 204, `{}`)
		refused(f, c.UpdateUserRepositoryAuth, with(`[`+one+`]`), 404, "4040091")
		refused(f, f.sdk(first).ShowUserRepositoryAuth, here, 403, "4039002")
		refused(f, c.ShowUserRepositoryAuth, `{"namespace":"`+f.org+`","repository":"none"}`, 404, "4040010")
		refused(f, f.sdk(f.partner).ShowUserRepositoryAuth, here, 403, "4039001")
		refused(f, f.sdk(f.partner).ShowUserRepositoryAuth, `{"namespace":"`+f.org+`","repository":"none"}`, 403, "4039001")
	})
}
