package iam

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

func TestAccounts(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	for i := range 5 {
		_, err := w.CreateAccount(ctx, Operator(), fmt.Sprint("t", i))
		w.must(err)
	}
	_, err := w.CreateAccount(ctx, Operator(), "acme")
	w.want(err, fault.Exists)
	_, err = w.CreateAccount(ctx, w.boss, "mine")
	w.want(err, fault.Denied)
	_, err = w.CreateAccount(ctx, Caller{}, "mine")
	w.want(err, fault.Unauthorized)

	names := func(who Caller, n int) (got []string) {
		t.Helper()
		for after, more := "", true; more; {
			p, err := w.Accounts(ctx, who, AccountQuery{After: after, Limit: n})
			w.must(err)
			if len(p.Items) > n {
				t.Fatalf("a page of %d has %d", n, len(p.Items))
			}
			for _, a := range p.Items {
				got = append(got, a.Name)
				after = a.Name
			}
			more = p.More
		}
		return got
	}
	all := []string{"acme", "admin", "t0", "t1", "t2", "t3", "t4"}
	for _, n := range []int{1, 2, 7, 100} {
		if diff := cmp.Diff(all, names(Operator(), n)); diff != "" {
			t.Errorf("pages of %d: %s", n, diff)
		}
	}
	_, err = w.Accounts(ctx, w.boss, AccountQuery{})
	w.want(err, fault.Denied)
	_, err = w.Accounts(ctx, Caller{}, AccountQuery{})
	w.want(err, fault.Unauthorized)

	w.want(w.SetAccountEnabled(ctx, w.boss, "acme", false), fault.Denied)
	w.want(w.SetAccountEnabled(ctx, Operator(), "nowhere", false), fault.AccountUnknown)
	w.must(w.SetAccountEnabled(ctx, Operator(), "acme", false))
	if a, err := FindAccount(ctx, w.d, "acme"); err != nil || a.Enabled {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := FindAccount(ctx, w.d, ""); err != nil || a.Name != FirstName {
		t.Errorf("the first account is %+v, %v", a, err)
	}
	_, err = FindAccount(ctx, w.d, "nowhere")
	w.want(err, fault.AccountUnknown)

	w.must(w.SetAccountEnabled(ctx, Operator(), "acme", true))
	p, err := w.Projects(ctx, w.alice, "")
	if err != nil || len(p) != 1 || p[0].Name != "region-1" || len(p[0].ID) != 32 {
		t.Errorf("projects are %+v, %v", p, err)
	}
	_, err = w.Projects(ctx, w.alice, "admin")
	w.want(err, fault.Denied)
}

func TestChangeAccount(t *testing.T) {
	w := open(t)
	id, path, bad := "o-1", "root/acme", "a\nb"
	got, err := w.ChangeAccount(t.Context(), Operator(), AccountRef{Name: "acme"}, AccountChange{OrgID: &id, OrgPath: &path})
	w.must(err)
	if found, err := FindAccount(t.Context(), w.d, "acme"); err != nil || found != got || got.OrgID != id || got.OrgPath != path {
		t.Errorf("%+v, %+v, %v", got, found, err)
	}
	none := ""
	if got, err := w.ChangeAccount(t.Context(), Operator(), AccountRef{Name: "acme"}, AccountChange{OrgPath: &none}); err != nil || got.OrgID != id || got.OrgPath != "" {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.ChangeAccount(t.Context(), w.boss, AccountRef{Name: "acme"}, AccountChange{OrgID: &none})
	w.want(err, fault.Denied)
	_, err = w.ChangeAccount(t.Context(), Operator(), AccountRef{Name: "nowhere"}, AccountChange{OrgID: &none})
	w.want(err, fault.AccountUnknown)
	_, err = w.ChangeAccount(t.Context(), Operator(), AccountRef{Name: "acme"}, AccountChange{OrgID: &bad})
	w.want(err, fault.Invalid)
}

// All of a change happens or nothing, and nobody hashes for who may not.
func TestChangeUser(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	name, taken, password, text, mode, off := "alicia", "boss", "a new password", "of the builds", ConsoleOnly, false
	u, err := w.ChangeUser(ctx, w.boss, UserRef{ID: w.alice.User}, UserChange{Name: &name, Password: &password, Description: &text, AccessMode: &mode, Enabled: &off, Reset: &off})
	w.must(err)
	want := User{ID: w.alice.User, Name: name, Account: w.acme.ID, AccountName: "acme", Description: text, AccessMode: mode, Password: true, Created: u.Created}
	if u != want {
		t.Errorf("%+v, want %+v", u, want)
	}
	other := "other"
	_, err = w.ChangeUser(ctx, w.boss, UserRef{ID: w.alice.User}, UserChange{Description: &other, Name: &taken})
	w.want(err, fault.Exists)
	_, err = w.ChangeUser(ctx, w.boss, UserRef{ID: w.boss.User}, UserChange{Description: &other, Enabled: &off})
	w.want(err, fault.InUse)
	for _, ref := range []UserRef{{ID: w.alice.User}, {ID: w.boss.User}} {
		if u, err := w.UserByID(ctx, Operator(), ref.ID); err != nil || u.Description == other || u.Name == taken && u.ID == w.alice.User {
			t.Errorf("half of a change was made: %+v, %v", u, err)
		}
	}
	bob := w.user("acme", "bob", alicePassword, false)
	before := w.Stats().Hashes
	for _, err := range []error{
		func() error {
			_, err := w.ChangeUser(ctx, bob, UserRef{ID: bob.User}, UserChange{Password: &password})
			return err
		}(),
		func() error { _, err := w.AddUser(ctx, bob, "", NewUser{Name: "x", Password: password}); return err }(),
	} {
		w.want(err, fault.Denied)
	}
	if n := w.Stats().Hashes; n != before {
		t.Errorf("%d passwords were hashed for nothing", n-before)
	}
	for _, c := range []UserChange{{Name: &text}, {AccessMode: (*AccessMode)(&name)}, {Password: new(string)}} {
		if c.Password != nil {
			*c.Password = "short"
		}
		_, err := w.ChangeUser(ctx, w.boss, UserRef{ID: bob.User}, c)
		w.want(err, fault.Invalid)
	}
}

func TestUsers(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	u, err := w.CreateUser(ctx, w.boss, "", "carol", "carol's secret", false)
	w.must(err)
	want := User{ID: u.ID, Name: "carol", Account: w.acme.ID, AccountName: "acme", Enabled: true, Password: true, AccessMode: AnyAccess, Reset: true, Created: u.Created}
	if diff := cmp.Diff(want, u); diff != "" || len(u.ID) != 32 || u.Created.Sub(w.clock.now()).Abs() > time.Hour {
		t.Errorf("%+v: %s", u, diff)
	}
	if got, err := w.User(ctx, w.boss, "acme", "carol"); err != nil || got != u {
		t.Errorf("User = %+v, %v", got, err)
	}
	if got, err := w.User(ctx, w.alice, "", "alice"); err != nil || got.ID != w.alice.User {
		t.Errorf("one's own User = %+v, %v", got, err)
	}
	if got, err := FindUser(ctx, w.d, w.acme.ID, "carol"); err != nil || got != u {
		t.Errorf("FindUser = %+v, %v", got, err)
	}
	_, err = w.CreateUser(ctx, w.boss, "", "carol", "carol's secret", false)
	w.want(err, fault.Exists)
	_, err = w.CreateUser(ctx, Operator(), "admin", "carol", "carol's secret", false) // another account, another carol
	w.want(err, "")
	for _, c := range []struct{ name, password string }{
		{"", "a password"}, {"-x", "a password"}, {"x/y", "a password"}, {"x@y", "a password"}, {"x y", "a password"},
		{strings.Repeat("x", 65), "a password"}, {"ä", "a password"}, {"ok", "1234567"}, {"ok", strings.Repeat("x", MaxPassword+1)},
	} {
		_, err := w.CreateUser(ctx, w.boss, "", c.name, c.password, false)
		w.want(err, fault.Invalid)
	}
	for _, name := range []string{"x", "X.y_z-1", strings.Repeat("x", 64), "0"} {
		_, err := w.CreateUser(ctx, w.boss, "", name, strings.Repeat("p", MaxPassword), false)
		w.want(err, "")
	}

	p, err := w.Users(ctx, w.boss, "", "", 3)
	w.must(err)
	var got []string
	for _, u := range p.Items {
		got = append(got, u.Name)
	}
	if diff := cmp.Diff([]string{"0", "X.y_z-1", "alice"}, got); diff != "" || !p.More { // bytes, not letters
		t.Errorf("the first page: %s, %v", diff, p.More)
	}
	p, err = w.Users(ctx, w.boss, "", "carol", 3)
	if err != nil || len(p.Items) != 2 || p.More {
		t.Errorf("the last page: %+v, %v", p, err)
	}
	if p, err := w.Users(ctx, w.boss, "", "zzz", 3); err != nil || p.Items == nil || len(p.Items) != 0 || p.More {
		t.Errorf("an empty page: %+v, %v", p, err)
	}
}

// What users may not see answers alike, whether it exists or not.
func TestManagementOfOthers(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	k := w.key(w.boss)
	first, err := w.Password(ctx, "admin", adminPassword, "")
	w.must(err)
	calls := map[string]func(who Caller, account, user, key string) error{
		"CreateUser": func(who Caller, a, u, k string) error {
			_, err := w.CreateUser(ctx, who, a, "new", "", false)
			return err
		},
		"User":           func(who Caller, a, u, k string) error { _, err := w.User(ctx, who, a, u); return err },
		"Users":          func(who Caller, a, u, k string) error { _, err := w.Users(ctx, who, a, "", 1); return err },
		"SetPassword":    func(who Caller, a, u, k string) error { return w.SetPassword(ctx, who, a, u, "new password") },
		"SetUserEnabled": func(who Caller, a, u, k string) error { return w.SetUserEnabled(ctx, who, a, u, false) },
		"SetAdmin":       func(who Caller, a, u, k string) error { return w.SetAdmin(ctx, who, a, u, true) },
		"DeleteUser":     func(who Caller, a, u, k string) error { return w.DeleteUser(ctx, who, a, u) },
		"CreateKey":      func(who Caller, a, u, k string) error { _, err := w.CreateKey(ctx, who, a, u, ""); return err },
		"Keys":           func(who Caller, a, u, k string) error { _, err := w.Keys(ctx, who, a, u); return err },
		"SetKeyEnabled":  func(who Caller, a, u, k string) error { return w.SetKeyEnabled(ctx, who, k, false) },
		"DeleteKey":      func(who Caller, a, u, k string) error { return w.DeleteKey(ctx, who, k) },
	}
	onKeys := []string{"SetKeyEnabled", "DeleteKey"}
	for name, call := range calls {
		// A user without rights: the same whatever he names.
		var said []string
		for _, c := range [][3]string{{"", "boss", k.Access}, {"acme", "nobody", "AAAAAAAAAAAAAAAAAAAA"}, {"admin", "admin", ""}, {"nowhere", "x", "'"}} {
			err := call(w.alice, c[0], c[1], c[2])
			w.want(err, fault.Denied)
			said = append(said, fmt.Sprint(err))
		}
		if len(slices.Compact(said)) != 1 {
			t.Errorf("%s says %v", name, said)
		}
		w.want(call(Caller{}, "acme", "boss", k.Access), fault.Unauthorized)

		// An administrator of another account.
		theirs, nothing := call(first, "acme", "boss", k.Access), call(first, "nowhere", "boss", "AAAAAAAAAAAAAAAAAAAA")
		if slices.Contains(onKeys, name) {
			w.want(theirs, fault.KeyUnknown)
			w.want(nothing, fault.KeyUnknown)
		} else if w.want(theirs, fault.Denied); theirs.Error() != nothing.Error() {
			t.Errorf("%s: %v and %v", name, theirs, nothing)
		}

		// Those who may learn that it does not exist.
		switch {
		case name == "CreateUser" || name == "Users":
			w.want(call(Operator(), "nowhere", "", ""), fault.AccountUnknown)
		case slices.Contains(onKeys, name):
			w.want(call(w.boss, "", "", "AAAAAAAAAAAAAAAAAAAA"), fault.KeyUnknown)
			w.want(call(Operator(), "", "", "AAAAAAAAAAAAAAAAAAAA"), fault.KeyUnknown)
		default:
			w.want(call(w.boss, "", "nobody", ""), fault.UserUnknown)
			w.want(call(Operator(), "acme", "nobody", ""), fault.UserUnknown)
			w.want(call(Operator(), "nowhere", "boss", ""), fault.AccountUnknown)
		}
	}
}

func TestLastAdministrator(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	refused := func(user string) {
		t.Helper()
		w.want(w.SetUserEnabled(ctx, Operator(), "acme", user, false), fault.InUse)
		w.want(w.SetAdmin(ctx, Operator(), "acme", user, false), fault.InUse)
		w.want(w.DeleteUser(ctx, Operator(), "acme", user), fault.InUse)
	}
	refused("boss")
	w.must(w.SetAdmin(ctx, w.boss, "", "alice", true))
	w.must(w.SetUserEnabled(ctx, w.boss, "", "alice", false))
	refused("boss") // one that is disabled does not count
	w.must(w.SetUserEnabled(ctx, w.boss, "", "alice", true))
	w.must(w.DeleteUser(ctx, w.alice, "", "boss"))
	refused("alice")
	w.must(w.SetUserEnabled(ctx, Operator(), "acme", "alice", true))
}

// Both administrators try to get rid of the other at once.
func TestLastAdministratorRace(t *testing.T) {
	w := open(t)
	w.must(w.SetAdmin(t.Context(), w.boss, "", "alice", true))
	done := make(chan error)
	go func() { done <- w.SetAdmin(t.Context(), Operator(), "acme", "alice", false) }()
	err := w.SetAdmin(t.Context(), Operator(), "acme", "boss", false)
	if other := <-done; (err == nil) == (other == nil) {
		t.Errorf("both or none went: %v, %v", err, other)
	}
}

func TestKeys(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	k, err := w.CreateKey(ctx, w.alice, "", "alice", "for CI")
	w.must(err)
	if !isAccess(k.Access) || len(k.Secret) != secretKeySize || strings.Trim(k.Secret, alphanumeric) != "" {
		t.Errorf("the key is %q, %q", k.Access, k.Secret)
	}
	want := Key{Access: k.Access, Secret: k.Secret, User: w.alice.User, UserName: "alice", Account: w.acme.ID, AccountName: "acme",
		Description: "for CI", Enabled: true, Created: k.Created}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Error(diff)
	}
	second, err := w.CreateKey(ctx, w.boss, "", "alice", "")
	w.must(err)
	_, err = w.CreateKey(ctx, w.boss, "", "alice", "")
	w.want(err, fault.Quota)
	for _, bad := range []string{"a\nb", "\xff", strings.Repeat("x", 256)} {
		_, err = w.CreateKey(ctx, w.boss, "", "boss", bad)
		w.want(err, fault.Invalid)
	}
	w.must(w.SetKeyEnabled(ctx, w.alice, second.Access, false))

	list, err := w.Keys(ctx, w.alice, "", "alice")
	w.must(err)
	want.Secret = ""
	second.Secret, second.Enabled = "", false
	all := []Key{want, second}
	slices.SortFunc(all, func(a, b Key) int { return strings.Compare(a.Access, b.Access) })
	if diff := cmp.Diff(all, list); diff != "" {
		t.Error(diff)
	}
	w.must(w.DeleteKey(ctx, w.alice, second.Access))
	w.want(w.DeleteKey(ctx, w.boss, second.Access), fault.KeyUnknown)
	_, err = w.CreateKey(ctx, w.alice, "", "alice", "")
	w.want(err, "")

	// The secret is nowhere in the database as it is.
	row, err := db.One[[]byte](ctx, w.d, `SELECT secret FROM access_key WHERE access = $1`, k.Access)
	if err != nil || strings.Contains(string(row), k.Secret) {
		t.Errorf("the secret is stored as it is (%v)", err)
	}
}

func TestGrants(t *testing.T) {
	w := open(t)
	org := w.org(w.acme.ID, "team")
	repo := w.repo(org, "app", false)
	carol := w.user("acme", "carol", "", false)
	dave := w.user("acme", "dave", "", false)
	first, err := FindUser(t.Context(), w.d, mustAccount(w, "").ID, "admin")
	w.must(err)
	type call func(tx *db.Tx, who Caller, on Resource, user string, r Right) error
	revoke := func(f func(*db.Tx, Caller, Resource, string) error) call {
		return func(tx *db.Tx, who Caller, on Resource, user string, _ Right) error { return f(tx, who, on, user) }
	}
	do := func(f call, who Caller, on Resource, user string, r Right) error {
		t.Helper()
		return w.update(func(tx *db.Tx) error { return f(tx, who, on, user, r) })
	}
	for _, l := range []struct {
		name                  string
		on                    Resource
		grant, change, revoke call
		list                  func(*db.Tx, Caller, Resource, int64, int) (Page[UserRight], error)
		absent                fault.Code
	}{
		{"organization", org, w.GrantOrg, w.ChangeOrgGrant, revoke(w.RevokeOrg), w.OrgGrants, fault.OrgUnknown},
		{"repository", repo, w.GrantRepo, w.ChangeRepoGrant, revoke(w.RevokeRepo), w.RepoGrants, fault.RepoUnknown},
	} {
		w.want(do(l.change, w.boss, l.on, carol.User, Edit), fault.GrantUnknown)
		w.want(do(l.revoke, w.boss, l.on, carol.User, None), fault.GrantUnknown)
		w.want(do(l.grant, w.boss, l.on, carol.User, Read), "")
		w.want(do(l.grant, w.boss, l.on, carol.User, Edit), fault.Exists)
		w.want(do(l.grant, w.boss, l.on, w.alice.User, Manage), "")
		w.want(do(l.change, w.boss, l.on, carol.User, Edit), "")
		for _, bad := range []Right{None, 2, 4, 8, -1} {
			w.want(do(l.grant, w.boss, l.on, dave.User, bad), fault.RightInvalid)
			w.want(do(l.change, w.boss, l.on, carol.User, bad), fault.RightInvalid)
		}
		// Users of other accounts and users that do not exist are alike.
		w.want(do(l.grant, w.boss, l.on, first.ID, Read), fault.UserUnknown)
		w.want(do(l.grant, Operator(), l.on, first.ID, Read), fault.UserUnknown)
		w.want(do(l.grant, w.boss, l.on, "nobody", Read), fault.UserUnknown)
		// Who may not, may not.
		w.want(do(l.grant, dave, l.on, carol.User, Read), fault.Denied)
		w.want(do(l.change, Caller{}, l.on, carol.User, Read), fault.Unauthorized)
		w.want(do(l.revoke, dave, l.on, carol.User, None), fault.Denied)
		gone := l.on
		gone.Organization, gone.Repository = 0, 0
		w.want(do(l.grant, w.boss, gone, carol.User, Read), l.absent)

		list := func(who Caller, after int64, n int) Page[UserRight] {
			t.Helper()
			p, err := db.View(t.Context(), w.d, func(tx *db.Tx) (Page[UserRight], error) { return l.list(tx, who, l.on, after, n) })
			w.must(err)
			return p
		}
		p := list(w.alice, 0, 10)
		if len(p.Items) != 2 || p.Items[0].UserName != "carol" || p.Items[0].Right != Edit || p.Items[1].User != w.alice.User || p.More {
			t.Errorf("%s: %+v", l.name, p) // in the order of creation
		}
		if q := list(w.boss, 0, 1); len(q.Items) != 1 || !q.More {
			t.Errorf("%s: %+v", l.name, q)
		}
		if q := list(w.boss, p.Items[0].ID, 1); len(q.Items) != 1 || q.Items[0] != p.Items[1] || q.More {
			t.Errorf("%s: %+v", l.name, q)
		}
		_, err := db.View(t.Context(), w.d, func(tx *db.Tx) (Page[UserRight], error) { return l.list(tx, dave, l.on, 0, 1) })
		w.want(err, fault.Denied)

		w.want(do(l.revoke, w.boss, l.on, carol.User, None), "")
		w.want(do(l.revoke, w.alice, l.on, w.alice.User, None), "") // everyone may give a right back
	}

	// On a repository nobody raises himself.
	w.give(w.alice, repo, None, Manage)
	w.want(do(w.ChangeRepoGrant, w.alice, repo, w.alice.User, Manage), fault.Denied)
	w.want(do(w.GrantRepo, w.boss, repo, w.boss.User, Manage), fault.Denied)
	w.want(do(w.GrantRepo, w.alice, repo, carol.User, Manage), "")

	// A deleted user's rights go with him.
	w.must(w.DeleteUser(t.Context(), w.boss, "", "carol"))
	n, err := db.One[int64](t.Context(), w.d, `SELECT count(*) FROM repo_grant`)
	if err != nil || n != 1 {
		t.Errorf("%d rights are left, %v", n, err)
	}
}

func mustAccount(w *world, name string) Account {
	w.t.Helper()
	a, err := FindAccount(w.t.Context(), w.d, name)
	w.must(err)
	return a
}

func TestRandomText(t *testing.T) {
	seen := make(map[rune]int)
	const n = 36 * 400
	for _, c := range randomText(upperAlphanumeric, n) {
		seen[c]++
	}
	for c, times := range seen {
		if times < 250 || times > 600 { // 400 on average; these bounds are 7 sigma away
			t.Errorf("%c came %d times", c, times)
		}
	}
	if len(seen) != len(upperAlphanumeric) {
		t.Errorf("only %d letters came", len(seen))
	}
}
