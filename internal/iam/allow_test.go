package iam

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// who may do what, as the rights of org and repository stand: o3 is 3 on the
// organization alone, r7 is 7 on the repository alone.
var matrix = []struct {
	actions []Action
	may     string
}{
	{[]Action{Pull}, "o1 o3 o7 r1 r3 r7 admin"},
	{[]Action{ShowRepo, ListTags, ListRepos, ShowRepoGrants, ListTriggers, ListRetentions, ListSyncs, ListDomains, ListShares}, "o1 o3 o7 r1 r3 r7 admin"},
	{[]Action{ShowOrg, ShowOrgGrants}, "o1 o3 o7 admin"},
	{[]Action{CreateRepo, Push, UploadPage, CreateTag, RestoreTag, RollbackTag}, "o3 o7 admin"},
	{[]Action{UpdateRepo, CreateTrigger, UpdateTrigger, DeleteTrigger}, "o3 o7 r3 r7 admin"},
	{[]Action{DeleteTag, RollbackRepo, DeleteRepo, CreateDomain, UpdateDomain, DeleteDomain, CreateShare, UpdateShare, DeleteShare}, "o7 r7 admin"},
	{[]Action{CreateRetention, UpdateRetention, DeleteRetention, ConfirmRetained, TryRetention, CreateSync, SyncNow, DeleteSync}, "o7 r7 admin"},
	{[]Action{GrantOrg, ChangeOrgGrant, RevokeOrg, DeleteOrg}, "o7 admin"},
	{[]Action{GrantRepo, ChangeRepoGrant, RevokeRepo}, "o3 o7 r7 admin"},
	{[]Action{CreateOrg, CreateUser, UpdateUser, DeleteUser, ListUsers, SetPassword, CreateKey, ListKeys, UpdateSettings}, "admin"},
	{[]Action{ListOrgs, CreateLogin, ListQuotas, ShowOverview, ShowReports, ShowSettings, ListSharedRepos, ListProjects, ShowAccount}, "none o1 o3 o7 r1 r3 r7 admin"},
	{[]Action{CreateAccount, UpdateAccount, ListAccounts, RotateKeys}, ""},
}

func TestRights(t *testing.T) {
	w := open(t)
	org := w.org(w.acme.ID, "team")
	repo := w.repo(org, "app", false)
	public := w.repo(org, "open", true)
	callers := map[string]Caller{"none": w.alice, "admin": w.boss}
	for _, r := range []Right{Read, Edit, Manage} {
		o, rp := w.user("acme", fmt.Sprintf("o%d", r), "", false), w.user("acme", fmt.Sprintf("r%d", r), "", false)
		w.give(o, repo, r, None)
		w.give(rp, repo, None, r)
		callers[fmt.Sprintf("o%d", r)], callers[fmt.Sprintf("r%d", r)] = o, rp
	}
	foreign, err := w.Password(t.Context(), "admin", adminPassword, "")
	w.must(err)

	for _, row := range matrix {
		for _, do := range row.actions {
			for name, who := range callers {
				err := w.allow(who, do, repo)
				if want := slices.Contains(strings.Fields(row.may), name); want != (err == nil) {
					t.Errorf("%s on a private repository by %s: %v", do, name, err)
				} else if err != nil {
					w.want(err, fault.Denied)
				}
			}
			if err := w.allow(foreign, do, repo); rules[do].scope == onInstallation {
				w.want(err, "") // foreign is an administrator of the first account
			} else {
				w.want(err, fault.Denied)
			}
			w.want(w.allow(Caller{}, do, repo), fault.Unauthorized)
			w.want(w.allow(System("test"), do, repo), "")
			w.want(w.allow(Operator(), do, repo), "")

			// A public repository is for pulling, by everyone.
			for name, who := range map[string]Caller{"anonymous": {}, "foreign": foreign, "none": w.alice} {
				err := w.allow(who, do, public)
				if do == Pull && err != nil || do != Pull && err == nil && name != "none" && (name != "foreign" || rules[do].scope != onInstallation) {
					t.Errorf("%s on a public repository by %s: %v", do, name, err)
				}
			}
		}
	}
}

func TestRightsOfBothLevels(t *testing.T) {
	w := open(t)
	repo := w.repo(w.org(w.acme.ID, "team"), "app", false)
	sister := w.repo(Resource{Account: repo.Account, Organization: repo.Organization, Name: "team"}, "other", false)
	w.give(w.alice, repo, Read, Edit)

	w.want(w.allow(w.alice, UpdateRepo, repo), "")
	w.want(w.allow(w.alice, Push, repo), fault.Denied) // the organization alone counts
	w.want(w.allow(w.alice, Pull, sister), "")
	w.want(w.allow(w.alice, UpdateRepo, sister), fault.Denied)

	w.must(w.update(func(tx *db.Tx) error {
		for _, c := range []struct {
			who       Caller
			on        Resource
			org, repo Right
		}{
			{w.alice, repo, Read, Edit},
			{w.alice, sister, Read, None},
			{w.boss, repo, Manage, Manage},
			{w.boss, Resource{Account: w.acme.ID}, Manage, Manage},
			{w.boss, Resource{Account: "another"}, None, None},
			{Operator(), repo, Manage, Manage},
			{Caller{}, repo, None, None},
		} {
			org, rp, err := w.RightOn(tx, c.who, c.on)
			if err != nil || org != c.org || rp != c.repo {
				t.Errorf("%v on %+v has %v and %v, %v", c.who, c.on, org, rp, err)
			}
		}
		return nil
	}))
}

func TestUsersCreateOrganizations(t *testing.T) {
	w := open(t, func(o *Options) { o.UsersCreate = true })
	w.want(w.allow(w.alice, CreateOrg, Resource{Account: w.acme.ID, Name: "team"}), "")
	w.want(w.allow(w.alice, CreateOrg, Resource{Account: "another", Name: "team"}), fault.Denied)
	w.want(w.allow(w.alice, CreateUser, Resource{Account: w.acme.ID}), fault.Denied)
	w.want(w.allow(Caller{}, CreateOrg, Resource{Account: w.acme.ID, Name: "team"}), fault.Unauthorized)
}

func TestUsersManageThemselves(t *testing.T) {
	w := open(t)
	for _, do := range []Action{SetPassword, CreateKey, UpdateKey, DeleteKey, ListKeys, ShowUser} {
		w.want(w.allow(w.alice, do, Resource{Account: w.acme.ID, User: w.alice.User}), "")
		w.want(w.allow(w.alice, do, Resource{Account: w.acme.ID, User: w.boss.User}), fault.Denied)
		w.want(w.allow(w.boss, do, Resource{Account: w.acme.ID, User: w.alice.User}), "")
	}
}

func TestCreatorsRight(t *testing.T) {
	w := open(t)
	org := w.org(w.acme.ID, "team")
	w.must(w.update(func(tx *db.Tx) error {
		if err := w.SetOrgGrant(tx, org.Organization, w.alice.User, Manage); err != nil {
			return err
		}
		return w.Raise(tx, w.acme.ID)
	}))
	w.want(w.allow(w.alice, DeleteOrg, org), "")
}

func TestRefusals(t *testing.T) {
	w := open(t)
	org := w.org(w.acme.ID, "team")
	app, open, edit := w.repo(org, "app", false), w.repo(org, "open", true), w.repo(org, "edit", false)
	w.give(w.alice, app, None, Read)
	w.give(w.alice, edit, None, Edit)
	reader := w.user("acme", "reader", "", false)
	w.give(reader, org, Read, None)
	missing := Resource{Name: "nowhere/app"}
	foreign := w.repo(w.org(w.acme.ID+"", "far"), "app", false)
	foreign.Account = "another"

	for _, c := range []struct {
		who  Caller
		do   Action
		on   Resource
		says string
	}{
		{w.alice, Push, app, "You may pull from team/app but not push to it: that takes the right 3 (edit) on the organization team."},
		{w.alice, Push, edit, "You may pull from team/edit but not push to it: that takes the right 3 (edit) on the organization team."},
		{w.alice, Push, open, "You may pull from team/open but not push to it: that takes the right 3 (edit) on the organization team."},
		{reader, DeleteTag, app, "You may pull from team/app but not delete images of it: that takes the right 7 (manage) on it or on the organization team."},
		{reader, GrantRepo, app, "You may pull from team/app but not grant rights on it: that takes the right 3 (edit) on the organization team or 7 (manage) on the repository."},
		{reader, DeleteOrg, org, "You may see the organization team but not delete it: that takes the right 7 (manage) on the organization team."},
		{reader, Push, Resource{Account: org.Account, Organization: org.Organization, Name: "team/new"},
			"You may read in the organization team but not push to team/new: that takes the right 3 (edit) on the organization team."},
		{w.alice, Pull, missing, "You may not pull from nowhere/app: it does not exist or you lack the right 1 (read) on it or on the organization nowhere."},
		{w.alice, Push, missing, "You may not push to nowhere/app: the organization nowhere does not exist or you have no right on it; create it, or ask for the right 3 (edit)."},
		{w.alice, ShowOrg, org, "You may not see team: it does not exist or you lack the right 1 (read) on the organization team."},
		{w.alice, CreateOrg, Resource{Account: w.acme.ID, Name: "more"}, "Only an administrator of the account may create organizations."},
		{w.boss, CreateAccount, Resource{}, "Only an administrator of the first account or the operator may create accounts."},
		{w.boss, ListRepos, Resource{Account: "another", Name: "x"}, "You may list repositories in your own account only."},
		{w.alice, ListRepos, org, "You may not list repositories of team: it does not exist or you lack the right 1 (read) on the organization team."},
		{Caller{}, Push, app, "Log in to push to team/app."},
		{Caller{}, Pull, missing, "Log in to pull from nowhere/app."},
		{Caller{}, ListRepos, Resource{}, "Log in to list repositories."},
	} {
		err := w.allow(c.who, c.do, c.on)
		if f, ok := err.(*fault.Error); !ok || f.Msg != c.says {
			t.Errorf("%v, %s on %s:\n%v\nwant\n%s", c.who, c.do, c.on.Name, err, c.says)
		}
	}

	// What belongs to others and what does not exist cannot be told apart.
	for do := range rules {
		for _, who := range []Caller{w.boss, w.alice, {}} {
			f, m := foreign, foreign
			m.Account, m.Organization, m.Repository = "", 0, 0
			theirs, nothing := w.allow(who, do, f), w.allow(who, do, m)
			if theirs == nil || nothing == nil || theirs.Error() != nothing.Error() {
				t.Errorf("%v, %s: foreign %v, missing %v", who, do, theirs, nothing)
			}
		}
	}
}

func TestActions(t *testing.T) {
	for a, r := range rules {
		if r.scope == 0 || r.does == "" || r.scope == onContent && r.org == None {
			t.Errorf("the rule of %s is not complete: %+v", a, r)
		}
		for _, spelled := range []string{string(a), strings.ToUpper(string(a)), strings.ToLower(string(a))} {
			if got, ok := ParseAction(spelled); !ok || got != a {
				t.Errorf("ParseAction(%q) = %q, %v", spelled, got, ok)
			}
		}
	}
	for spelled, want := range map[string]Action{
		"swr:createLoginSecret":          CreateLogin,
		"SWR::createloginsecret":         CreateLogin,
		"swr:namespace:createNameSpace":  CreateOrg,
		"swr:listQuotas":                 ListQuotas,
		"swr:repo:fly":                   "",
		"swr:repo":                       "",
		"swr":                            "",
		"":                               "",
		"swr:::createLoginSecret":        "",
		"iam:users:createUser ":          "",
		"swr:repo:download:team/app":     "",
		"swr:namespace::createNamespace": "",
	} {
		if got, ok := ParseAction(spelled); got != want || ok != (want != "") {
			t.Errorf("ParseAction(%q) = %q, %v", spelled, got, ok)
		}
	}
	w := open(t)
	for _, who := range []Caller{{}, w.boss, Operator()} {
		if err := w.Check(t.Context(), who, "swr:repo:fly", Resource{}); fault.CodeOf(err) != fault.Internal {
			t.Errorf("%v may do what does not exist: %v", who, err)
		}
	}
	w.want(w.allow(w.boss, "SWR:NAMESPACE:CREATENAMESPACE", Resource{Account: w.acme.ID}), "")

	for r, want := range map[Right]bool{None: false, Read: true, 2: false, Edit: true, 4: false, Manage: true, 8: false, -1: false} {
		if r.Valid() != want {
			t.Errorf("Right(%d).Valid() = %v", r, !want)
		}
	}
}

func FuzzParseAction(f *testing.F) {
	for a := range rules {
		f.Add(string(a))
	}
	f.Add("swr:x")
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := ParseAction(s)
		if _, known := rules[a]; ok != known {
			t.Errorf("ParseAction(%q) = %q, %v", s, a, ok)
		}
	})
}
