package iam

import (
	"fmt"
	"sync"
	"testing"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// The administrators of the first account administer the installation: its
// accounts, and nothing in them.
func TestInstallation(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	root, err := w.Password(ctx, FirstName, adminPassword, "")
	w.must(err)
	plain := w.user(FirstName, "plain", alicePassword, false)

	made, admin, err := w.AddAccount(ctx, root, NewAccount{Name: "made", Description: "for a test", OrgID: "o-1", OrgPath: "root/made",
		Administrator: &NewUser{Name: "chief", Password: "chief's secret", Contact: Contact{Email: "chief@example.com"}}})
	w.must(err)
	if !made.Enabled || made.Description != "for a test" || made.OrgID != "o-1" || made.OrgPath != "root/made" ||
		!admin.Admin || !admin.Enabled || admin.Account != made.ID || admin.Contact.Email != "chief@example.com" {
		t.Errorf("%+v, %+v", made, admin)
	}
	chief, err := w.Password(ctx, "made/chief", "chief's secret", "")
	w.must(err)
	if p, err := w.Projects(ctx, chief, ""); err != nil || len(p) != 1 {
		t.Errorf("projects are %v, %v", p, err)
	}
	w.want(w.SetAdmin(ctx, chief, "", "chief", false), fault.InUse)
	if shown, err := w.AccountByID(ctx, root, made.ID); err != nil || shown != made {
		t.Errorf("%+v, %v", shown, err)
	}
	if shown, err := w.AccountByID(ctx, chief, made.ID); err != nil || shown != made {
		t.Errorf("one's own: %+v, %v", shown, err)
	}
	off := false
	p, err := w.Accounts(ctx, root, AccountQuery{Name: "made"})
	if err != nil || len(p.Items) != 1 || p.Items[0] != made {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := w.Accounts(ctx, root, AccountQuery{Enabled: &off}); err != nil || len(p.Items) != 0 {
		t.Errorf("%+v, %v", p, err)
	}

	// All of it or nothing.
	for name, n := range map[string]NewAccount{
		"no password":    {Name: "half", Administrator: &NewUser{Name: "chief"}},
		"short password": {Name: "half", Administrator: &NewUser{Name: "chief", Password: "short"}},
		"no name":        {Name: "half", Administrator: &NewUser{Password: "long enough"}},
		"bad contact":    {Name: "half", Administrator: &NewUser{Name: "chief", Password: "long enough", Contact: Contact{Email: "x"}}},
		"control":        {Name: "half", OrgPath: "a\nb"},
		"description":    {Name: "half", Description: "a\x00"},
	} {
		if _, _, err := w.AddAccount(ctx, root, n); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = FindAccount(ctx, w.d, "half")
	w.want(err, fault.AccountUnknown)
	_, _, err = w.AddAccount(ctx, root, NewAccount{Name: "made", Administrator: &NewUser{Name: "other", Password: "long enough"}})
	w.want(err, fault.Exists)

	// Nothing in them.
	_, err = w.Users(ctx, root, "made", "", 10)
	w.want(err, fault.Denied)
	_, err = w.AddUser(ctx, root, "made", NewUser{Name: "spy"})
	w.want(err, fault.Denied)
	_, err = w.UserByID(ctx, root, admin.ID)
	w.want(err, fault.UserUnknown)
	w.want(w.SetPassword(ctx, root, "made", "chief", "mine from now on"), fault.Denied)
	_, err = w.AddKey(ctx, root, UserRef{ID: admin.ID}, "")
	w.want(err, fault.UserUnknown)
	w.want(w.allow(root, Pull, Resource{Account: made.ID, Organization: 1, Repository: 1, Name: "made/app"}), fault.Denied)

	// Nobody else, of what is there and of what is not.
	for name, who := range map[string]Caller{"another account's administrator": w.boss, "a user": w.alice, "a user of the first account": plain} {
		for _, id := range []string{made.ID, "0123456789abcdef0123456789abcdef"} {
			for what, err := range map[string]error{
				"show": func() error { _, err := w.AccountByID(ctx, who, id); return err }(),
				"change": func() error {
					_, err := w.ChangeAccount(ctx, who, AccountRef{ID: id}, AccountChange{Enabled: &off})
					return err
				}(),
				"make": func() error { _, _, err := w.AddAccount(ctx, who, NewAccount{Name: "more"}); return err }(),
				"list": func() error { _, err := w.Accounts(ctx, who, AccountQuery{}); return err }(),
			} {
				if !fault.Is(err, fault.Denied) {
					t.Errorf("%s by %s: %v", what, name, err)
				}
			}
		}
	}
	w.want(w.SetAccountEnabled(ctx, w.boss, "", false), fault.Denied) // "" would be his own
}

func TestInstallationKeepsItself(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	root, err := w.Password(ctx, FirstName, adminPassword, "")
	w.must(err)
	off, on, same, other := false, true, "acme", "elsewhere"
	_, err = w.ChangeAccount(ctx, root, AccountRef{ID: root.Account}, AccountChange{Enabled: &off})
	w.want(err, fault.InUse)
	w.want(w.SetAccountEnabled(ctx, root, "", false), fault.InUse)
	w.want(w.SetAdmin(ctx, root, "", FirstName, false), fault.InUse)
	_, err = w.ChangeAccount(ctx, root, AccountRef{ID: root.Account}, AccountChange{Enabled: &on})
	w.must(err)
	_, err = w.ChangeAccount(ctx, root, AccountRef{ID: "nowhere"}, AccountChange{Enabled: &off})
	w.want(err, fault.AccountUnknown)
	_, err = w.ChangeAccount(ctx, root, AccountRef{ID: w.acme.ID}, AccountChange{Name: &other, Enabled: &off})
	w.want(err, fault.Unsupported)

	// Disabled, its users are out at once, and back.
	token := w.apiToken(w.boss, adminPassword)
	changed, err := w.ChangeAccount(ctx, root, AccountRef{ID: w.acme.ID}, AccountChange{Name: &same, Enabled: &off, Description: &other})
	if err != nil || changed.Enabled || changed.Description != other {
		t.Errorf("%+v, %v", changed, err)
	}
	w.dead("account disabled", token.Value, WrongToken)
	w.must(w.SetAccountEnabled(ctx, root, "acme", true))
	w.alive("account enabled", token.Value)

	// The right ends with the next call, however warm the caches are.
	w.user(FirstName, "second", alicePassword, true)
	second, err := w.Password(ctx, "second", alicePassword, "")
	w.must(err)
	list := func(who Caller) error {
		_, err := w.Accounts(ctx, who, AccountQuery{})
		return err
	}
	w.must(list(second))
	w.must(w.SetAdmin(ctx, root, "", "second", false))
	w.want(list(second), fault.Denied)
	w.must(w.SetAdmin(ctx, root, "", "second", true))
	w.must(list(second))
	w.must(w.SetUserEnabled(ctx, root, "", "second", false))
	w.want(list(second), fault.Unauthorized)
}

// Accounts that are made at once get different numbers, and only one of a name.
func TestAccountsMadeAtOnce(t *testing.T) {
	w := open(t)
	root, err := w.Password(t.Context(), FirstName, adminPassword, "")
	w.must(err)
	var all sync.WaitGroup
	var mu sync.Mutex
	made := map[string]int{}
	for i := range 12 {
		all.Go(func() {
			name := fmt.Sprint("team", i%6)
			_, _, err := w.AddAccount(t.Context(), root, NewAccount{Name: name})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made[name]++
			} else if !fault.Is(err, fault.Exists) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
	for i := range 6 {
		if made[fmt.Sprint("team", i)] != 1 {
			t.Errorf("%v", made)
		}
	}
	n, err := db.One[int64](t.Context(), w.d, `SELECT max(seq) FROM account`)
	if err != nil || n != 8 {
		t.Errorf("the last number is %d, %v", n, err)
	}
}

func TestContact(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	for _, c := range []Contact{
		{}, {Email: "a@b"}, {Email: "first.last+tag@mail.example.com"}, {AreaCode: "0086", Phone: "13800000000"}, {"a@b.c", "49", "1"},
	} {
		u, err := w.AddUser(ctx, w.boss, "", NewUser{Name: "reached", Contact: c})
		if err != nil || u.Contact != c {
			t.Errorf("%+v: %+v, %v", c, u.Contact, err)
		}
		if found, err := w.UserByID(ctx, w.boss, u.ID); err != nil || found.Contact != c {
			t.Errorf("%+v: found %+v, %v", c, found.Contact, err)
		}
		w.must(w.DeleteUserByID(ctx, w.boss, u.ID))
	}
	long := fmt.Sprintf("%0256d", 7)
	for _, c := range []Contact{
		{Email: "x"}, {Email: "@b"}, {Email: "a@"}, {Email: "a@b@c"}, {Email: "a b@c"}, {Email: "a@b\nBcc: c@d"}, {Email: "A <a@b>"}, {Email: "a@.b"}, {Email: "a@b."}, {Email: "a@b..c"}, {Email: "\xff@b"},
		{Email: long + "@b"}, {Phone: "1"}, {AreaCode: "1"}, {AreaCode: "+86", Phone: "1"}, {AreaCode: "86", Phone: "1-2"}, {AreaCode: "86", Phone: long}, {AreaCode: long, Phone: "1"},
	} {
		if _, err := w.AddUser(ctx, w.boss, "", NewUser{Name: "unreached", Contact: c}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	mail, code, phone, none := "alice@example.com", "0049", "22812345", ""
	ref := UserRef{ID: w.alice.User}
	change := func(c UserChange, want Contact) {
		t.Helper()
		if u, err := w.ChangeUser(ctx, w.boss, ref, c); err != nil || u.Contact != want {
			t.Errorf("%+v, %v", u.Contact, err)
		}
	}
	change(UserChange{Email: &mail}, Contact{Email: mail})
	_, err := w.ChangeUser(ctx, w.boss, ref, UserChange{Phone: &phone})
	w.want(err, fault.Invalid)
	change(UserChange{Phone: &phone, AreaCode: &code}, Contact{mail, code, phone})
	_, err = w.ChangeUser(ctx, w.boss, ref, UserChange{AreaCode: &none, Description: &mail})
	w.want(err, fault.Invalid)
	change(UserChange{Description: &none}, Contact{mail, code, phone})
	change(UserChange{Email: &none, Phone: &none, AreaCode: &none}, Contact{})
}
