package iam

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/fault"
)

// credential makes one for a user.
func (w *world) credential(who Caller, n NewCredential) Credential {
	w.t.Helper()
	c, err := w.AddCredential(w.t.Context(), who, UserRef{ID: who.User}, n)
	w.must(err)
	return c
}

// bearer is what logging in by a credential says.
func (w *world) bearer(c Credential) (Caller, error) {
	return w.Password(w.t.Context(), "anybody", c.Secret, "")
}

// documented is the expression that docs/credentials.md gives to scanners.
var documented = regexp.MustCompile(`\bberth_[0-9A-Za-z]{50}\b`)

func TestCredentialForm(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		c := newCredentialWord()
		if documented.FindString("x="+c.word+";") != c.word || seen[c.id] || seen[c.word] {
			t.Fatalf("%s: %+v", c.word, c)
		}
		seen[c.id], seen[c.word] = true, true
		got, ok := parseCredential(c.word)
		if !ok || got != c || !isCredentialID(c.id) || isAccess(c.id) {
			t.Fatalf("%s is read as %+v", c.word, got)
		}
		for i := len(CredentialPrefix); i < len(c.word); i++ {
			other := []byte(c.word)
			other[i] = 'A' + (other[i]+1)%26
			if string(other) == c.word {
				continue
			}
			if _, ok := parseCredential(string(other)); ok {
				t.Fatalf("%s is read although it differs at %d", other, i)
			}
		}
	}
	for _, bad := range []string{"", "berth_", "berth_" + strings.Repeat("0", 49), "berth_" + strings.Repeat("é", 25), "Berth_" + newCredentialWord().word[6:], newCredentialWord().word + " "} {
		if IsCredential(bad) {
			t.Errorf("%q is taken for a credential", bad)
		}
	}
	// The published example, so that other programs can check theirs.
	if got := checksum("0123456789AB" + strings.Repeat("z", 32)); got != "2lOVHJ" {
		t.Errorf("the checksum is %s", got)
	}
}

func TestCredentialLogsIn(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	hashes := w.Stats().Hashes
	c := w.credential(w.alice, NewCredential{Description: "for CI", Expires: Expiry{After: time.Hour}})
	if c.Secret == "" || c.State(w.clock.now()) != "enabled" || !c.Used.IsZero() || c.Expires.Sub(c.Created) != time.Hour {
		t.Errorf("%+v", c)
	}
	for _, user := range []string{"", "tkestack", "acme/boss", "region-1@" + strings.Repeat("A", 20), "\xff", strings.Repeat("x", 1000)} {
		who, err := w.Password(ctx, user, c.Secret, "")
		w.must(err)
		if who.User != w.alice.User || who.Key != c.ID || who.String() != "acme/alice#"+c.ID {
			t.Errorf("%q logs in %v", user, who)
		}
	}
	who, err := w.APICaller(ctx, c.Secret)
	w.must(err)
	w.want(w.Check(ctx, who, ListOrgs, Resource{Account: w.acme.ID}), "")
	w.quiet("a login that was made before", func() {
		_, err := w.bearer(c)
		w.must(err)
	})
	if n := w.Stats().Hashes - hashes; n != 0 {
		t.Errorf("a credential was hashed slowly %d times", n)
	}

	// Nothing that could be used is kept, and the rest of the word counts.
	stored, err := db.All[string](ctx, w.d, `SELECT description FROM access_key WHERE secret <> $1 AND kind = 'credential'`, []byte{})
	w.must(err)
	if len(stored) != 0 {
		t.Error("a secret is kept")
	}
	word, _ := parseCredential(c.Secret)
	body := word.id + strings.Repeat("0", credentialRandomSize)
	if _, err := w.Password(ctx, "x", CredentialPrefix+body+checksum(body), ""); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("the id is enough: %v", err)
	}
	// It is neither a password of the management API nor an access key.
	_, err = w.PasswordToken(ctx, UserRef{ID: w.alice.User}, c.Secret, "", Scope{})
	w.want(err, fault.Unauthorized)
	_, err = w.Key(ctx, w.boss, c.ID)
	w.want(err, fault.KeyUnknown)
	keys, err := w.Keys(ctx, w.alice, "", "alice")
	w.must(err)
	if len(keys) != 0 {
		t.Errorf("it is listed as a key: %+v", keys)
	}
}

// Whatever ends a credential ends with the next request what logged in by it:
// the word itself, tokens of the registry, refresh tokens, and temporary keys.
func TestCredentialEnds(t *testing.T) {
	off, on := false, true
	for name, test := range map[string]struct {
		end  func(w *world, c Credential) error
		undo func(w *world, c Credential) error
		says string
	}{
		"disabled": {
			func(w *world, c Credential) error {
				_, err := w.ChangeCredential(w.t.Context(), w.alice, c.ID, CredentialChange{Enabled: &off})
				return err
			},
			func(w *world, c Credential) error {
				_, err := w.ChangeCredential(w.t.Context(), w.alice, c.ID, CredentialChange{Enabled: &on})
				return err
			}, "is disabled"},
		"disabled by an administrator": {
			func(w *world, c Credential) error {
				_, err := w.ChangeCredential(w.t.Context(), w.boss, c.ID, CredentialChange{Enabled: &off})
				return err
			}, nil, "is disabled"},
		"expired":                     {func(w *world, _ Credential) error { w.clock.add(time.Hour); return nil }, nil, "has expired"},
		"deleted":                     {func(w *world, c Credential) error { return w.DeleteCredential(w.t.Context(), w.alice, c.ID) }, nil, "not known"},
		"deleted by an administrator": {func(w *world, c Credential) error { return w.DeleteCredential(w.t.Context(), w.boss, c.ID) }, nil, "not known"},
		"user disabled": {func(w *world, _ Credential) error { return w.SetUserEnabled(w.t.Context(), w.boss, "", "alice", false) },
			func(w *world, _ Credential) error { return w.SetUserEnabled(w.t.Context(), w.boss, "", "alice", true) }, "user or the account"},
		"user deleted": {func(w *world, _ Credential) error { return w.DeleteUser(w.t.Context(), w.boss, "", "alice") }, nil, "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			ctx := t.Context()
			repo := w.repo(w.org(w.acme.ID, "team"), "app", false)
			w.give(w.alice, repo, Edit, None)
			c := w.credential(w.alice, NewCredential{Expires: Expiry{After: time.Hour}})
			who, err := w.bearer(c)
			w.must(err)
			token, err := w.Issue(ctx, who, []Access{})
			w.must(err)
			refresh, err := w.IssueRefresh(ctx, who)
			w.must(err)
			login, err := w.CreateLogin(ctx, who, "", 24*time.Hour)
			w.must(err)
			if login.Expires.After(c.Expires) {
				t.Error("a login that it made outlives it")
			}
			works := func() (n int) {
				w.freshen()
				for _, err := range []error{
					second(w.bearer(c)), second(w.APICaller(ctx, c.Secret)), second(w.Refresh(ctx, refresh)), w.Check(ctx, who, Push, repo), w.allow(who, Push, repo),
					func() error {
						g, err := w.Token(ctx, token.Value)
						if err == nil && (g.Expired || g.Key != c.ID) {
							err = fmt.Errorf("the token is %+v", g)
						}
						return err
					}(),
				} {
					if err == nil {
						n++
					}
				}
				return n
			}
			if got := works(); got != 6 {
				t.Fatalf("at first %d of 6 work", got)
			}
			_, err = w.Password(ctx, login.User, login.Password, "")
			w.must(err)
			w.must(test.end(w, c))
			if got := works(); got != 0 {
				t.Errorf("%d of 6 still work", got)
			}
			for _, err := range []error{second(w.bearer(c)), second(w.Token(ctx, token.Value)), second(w.Refresh(ctx, refresh))} {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("it says %v, want %s", err, test.says)
				}
			}
			_, err = w.Password(ctx, login.User, login.Password, "")
			w.want(err, fault.Unauthorized)
			if test.undo != nil {
				w.must(test.undo(w, c))
				if got := works(); got != 6 {
					t.Errorf("afterwards %d of 6 work", got)
				}
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

// What a credential is limited to binds everywhere, and nothing that is more
// can be made of it.
func TestLimitedCredentials(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	team, other := w.org(w.acme.ID, "team"), w.org(w.acme.ID, "other")
	app, lib, far, open := w.repo(team, "app", false), w.repo(team, "lib", false), w.repo(other, "app", false), w.repo(other, "open", true)
	absent := team
	absent.Name = "team/new"
	places := map[string]Resource{"team": team, "app": app, "lib": lib, "far": far, "open": open, "new": absent}
	for _, r := range []Resource{app, far} {
		w.give(w.alice, r, Manage, None)
	}
	for _, test := range []struct {
		limits Limits
		may    string // pairs of action and place
	}{
		{Limits{}, "pull app, push app, delete app, pull far, push new, pull open, push open, show team, grant team"},
		{Limits{Only: PullOnly}, "pull app, pull far, pull open, show team"},
		{Limits{Only: PushPull}, "pull app, push app, pull far, push new, pull open, push open, show team"},
		{Limits{In: []string{"team"}}, "pull app, push app, delete app, push new, pull open, show team, grant team"},
		{Limits{Only: PullOnly, In: []string{"team/app"}}, "pull app, pull open"},
		{Limits{Only: PushPull, In: []string{"team/new", "other"}}, "push new, pull far, pull open, push open"},
		{Limits{Only: PushPull, In: []string{"tea", "team/ap", "team/app/x"}}, "pull open"},
	} {
		c := w.credential(w.alice, NewCredential{Limits: test.limits})
		who, err := w.bearer(c)
		w.must(err)
		for word, do := range map[string]Action{"pull": Pull, "push": Push, "delete": DeleteTag, "show": ShowOrg, "grant": GrantOrg} {
			for name, on := range places {
				if on.Repository == 0 && name == "team" != (word == "show" || word == "grant") || name == "new" && word != "push" {
					continue
				}
				if on.Repository != 0 && (word == "show" || word == "grant") || word == "delete" && name != "app" || word == "push" && (name == "lib" || name == "far") || word == "pull" && name == "lib" {
					continue
				}
				want := strings.Contains(", "+test.may+",", ", "+word+" "+name+",")
				for how, err := range map[string]error{"Check": w.Check(ctx, who, do, on), "Allow": w.allow(who, do, on)} {
					if (err == nil) != want || err != nil && !fault.Is(err, fault.Denied) {
						t.Errorf("%+v: %s says to %s %s: %v", test.limits, how, word, name, err)
					}
					if err != nil && !strings.Contains(err.Error(), "this access credential: it is limited to") {
						t.Errorf("%+v: %v", test.limits, err)
					}
				}
			}
		}
		free := !test.limits.limited()
		for do, r := range rules {
			if r.scope == onContent || r.scope == onInstallation || do == CreateOrg {
				continue
			}
			own := Resource{Account: w.acme.ID, User: w.alice.User}
			if err := w.Check(ctx, who, do, own); !free && err == nil && do != ListOrgs && do != ListRepos {
				t.Errorf("%+v: it may %s", test.limits, do)
			}
		}
		_, err = w.CreateLogin(ctx, who, "", time.Hour)
		if (err == nil) != free {
			t.Errorf("%+v makes a login: %v", test.limits, err)
		}
		_, err = w.CreateSession(ctx, who, MinSession)
		if (err == nil) != free {
			t.Errorf("%+v makes a temporary key: %v", test.limits, err)
		}
		for _, err := range []error{
			second(w.AddCredential(ctx, who, UserRef{ID: who.User}, NewCredential{})), second(w.AddKey(ctx, who, UserRef{ID: who.User}, "")),
			func() error {
				on := true
				_, err := w.ChangeCredential(ctx, who, c.ID, CredentialChange{Enabled: &on})
				return err
			}(),
		} {
			w.want(err, fault.Denied)
		}
		if _, err := w.FindUsers(ctx, who, UserQuery{}); (err == nil) != free {
			t.Errorf("%+v lists users: %v", test.limits, err)
		}
	}
}

// An administrator's credential is limited as well.
func TestLimitedAdministrator(t *testing.T) {
	w := open(t)
	app := w.repo(w.org(w.acme.ID, "team"), "app", false)
	who, err := w.bearer(w.credential(w.boss, NewCredential{Limits: Limits{Only: PullOnly}}))
	w.must(err)
	w.want(w.Check(t.Context(), who, Pull, app), "")
	for _, do := range []Action{Push, DeleteRepo, CreateOrg, CreateUser, ListUsers, SetPassword, UpdateSettings, CreateCluster} {
		w.want(w.Check(t.Context(), who, do, app), fault.Denied)
	}
	if p, err := w.FindUsers(t.Context(), who, UserQuery{}); err == nil {
		t.Errorf("it lists users: %+v", p)
	}
}

// A share with another account does not go round a limit.
func TestLimitsBesideShares(t *testing.T) {
	w := open(t)
	other, err := w.CreateAccount(t.Context(), Operator(), "other")
	w.must(err)
	guest := w.user("other", "guest", "", false)
	app := w.shared(w.org(w.acme.ID, "team"), "app")
	w.share(app, AccountTarget(other.ID), forever)
	for _, test := range []struct {
		in   string
		want fault.Code
	}{{"team", ""}, {"elsewhere", fault.Denied}} {
		who, err := w.bearer(w.credential(guest, NewCredential{Limits: Limits{In: []string{test.in}}}))
		w.must(err)
		w.want(w.Check(t.Context(), who, Pull, app), test.want)
		w.want(w.allow(who, Pull, app), test.want)
	}
}

func TestCredentialsAreManaged(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	first := w.credential(w.alice, NewCredential{Description: "first"})
	w.clock.add(time.Minute)
	second := w.credential(w.alice, NewCredential{Description: "second", Limits: Limits{Only: PullOnly, In: []string{"b", "a", "b"}}})
	own, err := w.CredentialsOf(ctx, w.alice, UserRef{ID: w.alice.User})
	w.must(err)
	if len(own) != 2 || own[0].ID != second.ID || own[1].ID != first.ID || own[0].Secret != "" || fmt.Sprint(own[0].Limits.In) != "[a b]" || own[0].Limits.Only != PullOnly {
		t.Errorf("the own ones: %+v", own)
	}
	other := w.user("acme", "other", "", false)
	for _, err := range []error{
		func() error { _, err := w.CredentialsOf(ctx, other, UserRef{ID: w.alice.User}); return err }(),
		func() error { _, err := w.Credential(ctx, other, first.ID); return err }(),
		func() error { _, err := w.Credential(ctx, other, "000000000000"); return err }(),
		w.DeleteCredential(ctx, other, first.ID),
		func() error { _, err := w.AccountCredentials(ctx, other, "", "", 10); return err }(),
		func() error {
			_, err := w.AddCredential(ctx, other, UserRef{ID: w.alice.User}, NewCredential{})
			return err
		}(),
	} {
		w.want(err, fault.Denied)
	}
	w.want(w.DeleteCredential(ctx, w.boss, "000000000000"), fault.KeyUnknown)
	w.want(w.DeleteCredential(ctx, w.boss, "no id"), fault.KeyUnknown)
	stranger, err := w.Password(ctx, "admin", adminPassword, "")
	w.must(err)
	w.want(w.DeleteCredential(ctx, stranger, first.ID), fault.KeyUnknown) // of another account
	w.credential(other, NewCredential{})
	var seen []string
	for after := ""; ; {
		p, err := w.AccountCredentials(ctx, w.boss, "", after, 2)
		w.must(err)
		for _, c := range p.Items {
			seen, after = append(seen, c.UserName), c.ID
		}
		if !p.More {
			break
		}
	}
	if len(seen) != 3 {
		t.Errorf("the account has those of %v", seen)
	}
	if _, err := w.AccountCredentials(ctx, w.boss, "", "x", 2); !fault.Is(err, fault.PageInvalid) {
		t.Errorf("a marker that is none: %v", err)
	}
	text := "changed"
	c, err := w.ChangeCredential(ctx, w.boss, first.ID, CredentialChange{Description: &text})
	w.must(err)
	if c.Description != text || !c.Enabled {
		t.Errorf("%+v", c)
	}
	byKey := w.alice
	byKey.Key = w.key(w.alice).Access
	w.credential(byKey, NewCredential{}) // an access key is as good as a password
	temporary, err := w.CreateSession(ctx, w.alice, MinSession)
	w.must(err)
	bySession := w.alice
	bySession.Key = temporary.Access
	_, err = w.AddCredential(ctx, bySession, UserRef{ID: w.alice.User}, NewCredential{})
	w.want(err, fault.Denied)
	if rows := w.audit("action = $1", string(CreateCredential)); rows[0].Actor != "acme/alice" || rows[0].Resource != first.ID+" of alice" {
		t.Errorf("the audit: %+v", rows)
	}
}

func TestCredentialBounds(t *testing.T) {
	w := open(t, func(o *Options) { o.CredentialMaxLife = 48 * time.Hour })
	ctx := t.Context()
	add := func(n NewCredential) error {
		_, err := w.AddCredential(ctx, w.alice, UserRef{ID: w.alice.User}, n)
		return err
	}
	for _, bad := range []NewCredential{
		{Description: strings.Repeat("x", 256)}, {Description: "a\nb"},
		{Expires: Expiry{Never: true}}, {Expires: Expiry{After: 49 * time.Hour}}, {Expires: Expiry{After: time.Millisecond}}, {Expires: Expiry{At: w.clock.now()}},
		{Limits: Limits{Only: "delete"}}, {Limits: Limits{In: []string{"a/"}}}, {Limits: Limits{In: []string{"A"}}}, {Limits: Limits{In: []string{""}}}, {Limits: Limits{In: make([]string, 21)}},
	} {
		w.want(add(bad), fault.Invalid)
	}
	c := w.credential(w.alice, NewCredential{})
	if c.Expires.Sub(c.Created) != 48*time.Hour {
		t.Errorf("by default it lasts %s", c.Expires.Sub(c.Created))
	}
	for range maxCredentials - 1 {
		w.credential(w.alice, NewCredential{Expires: Expiry{After: time.Hour}})
	}
	w.want(add(NewCredential{}), fault.Quota)
	w.clock.add(2 * time.Hour)
	w.must(w.removeExpired(ctx)) // they are still shown
	if own, err := w.CredentialsOf(ctx, w.alice, UserRef{ID: w.alice.User}); err != nil || len(own) != maxCredentials || own[0].State(w.clock.now()) != "expired" {
		t.Errorf("%d are shown, %v", len(own), err)
	}
	w.must(add(NewCredential{})) // in the place of one that has expired
	if own, err := w.CredentialsOf(ctx, w.alice, UserRef{ID: w.alice.User}); err != nil || len(own) != maxCredentials {
		t.Errorf("%d are shown, %v", len(own), err)
	}

	w = open(t, func(o *Options) { o.CredentialUnlimited = true })
	if c := w.credential(w.alice, NewCredential{Expires: Expiry{Never: true}}); !c.Expires.IsZero() {
		t.Errorf("it expires: %s", c.Expires)
	}
}

func TestParseExpiry(t *testing.T) {
	for text, want := range map[string]Expiry{
		"": {}, "never": {Never: true}, "1h": {After: time.Hour}, "30m": {After: 30 * time.Minute}, "1h30m": {After: 90 * time.Minute}, "8760h": {After: 8760 * time.Hour},
		"2031-12-31": {At: time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC)}, "2031-12-31T16:00:00+08:00": {At: time.Date(2031, 12, 31, 8, 0, 0, 0, time.UTC)},
	} {
		got, err := ParseExpiry(text)
		if err != nil || !got.At.Equal(want.At) || got.After != want.After || got.Never != want.Never {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"1", "0h", "0m", "-1h", "1d", "1s", "1h30s", "1.5h", "forever", "2031-13-01", "h", " 1h", "99999999999999h", strings.Repeat("1", 100) + "h"} {
		if got, err := ParseExpiry(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is %+v, %v", bad, got, err)
		}
	}
	if got := spoken(8760 * time.Hour); got != "8760h" {
		t.Errorf("a year is %s", got)
	}
	if got := spoken(90 * time.Minute); got != "1h30m" {
		t.Errorf("an hour and a half is %s", got)
	}
}

// A use is remembered at once and written later.
func TestLastUse(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	c := w.credential(w.alice, NewCredential{})
	used := func() time.Time {
		t.Helper()
		c, err := w.Credential(ctx, w.alice, c.ID)
		w.must(err)
		return c.Used
	}
	written := func() int64 {
		n, err := db.One[int64](ctx, w.d, `SELECT used FROM credential WHERE access = $1`, c.ID)
		w.must(err)
		return n
	}
	who, err := w.bearer(c)
	w.must(err)
	first := w.clock.now()
	if !used().Equal(first.UTC().Truncate(time.Microsecond)) || written() != 0 {
		t.Errorf("used at %s, written %d", used(), written())
	}
	w.must(w.writeUses(ctx))
	if written() != first.UnixMicro() {
		t.Errorf("written %d", written())
	}
	w.clock.add(time.Minute)
	w.freshen()
	token, err := w.Issue(ctx, who, []Access{})
	w.must(err)
	w.quiet("a pull", func() {
		_, err := w.Token(ctx, token.Value)
		w.must(err)
	})
	w.must(w.Close()) // what waits is written at the end
	if written() != w.clock.now().UnixMicro() {
		t.Errorf("after the end: %d, want %d", written(), w.clock.now().UnixMicro())
	}
	u := newUses()
	for i := range maxUses + 10 {
		u.note(fmt.Sprintf("%012d", i), first)
	}
	u.note("", first)
	u.note(strings.Repeat("A", accessSize), first)
	if len(u.last) != maxUses {
		t.Errorf("%d uses are remembered", len(u.last))
	}
}

// Another node of one database knows within two seconds.
func TestCredentialOnOtherNodes(t *testing.T) {
	url := dbtest.URL(t)
	here := dbtest.OpenURL(t, url)
	if here.Exact() {
		t.Skip("SQLite has one process")
	}
	node := func(d *db.DB) *Authority {
		a, err := New(t.Context(), d, Options{Master: master(), Argon: cheap})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Close() })
		return a
	}
	a, b := node(here), node(dbtest.OpenURL(t, url))
	ctx := context.WithoutCancel(t.Context())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := a.Bootstrap(ctx, adminPassword)
	must(err)
	who, err := a.Password(ctx, "admin", adminPassword, "")
	must(err)
	c, err := a.AddCredential(ctx, who, UserRef{ID: who.User}, NewCredential{})
	must(err)
	there, err := b.Password(ctx, "x", c.Secret, "")
	must(err)
	token, err := b.Issue(ctx, there, []Access{})
	must(err)
	works := func() bool {
		_, err := b.Password(ctx, "x", c.Secret, "")
		_, err2 := b.Token(ctx, token.Value)
		if (err == nil) != (err2 == nil) {
			return works2(t, b, c, token)
		}
		return err == nil
	}
	until := func(want bool, what string) {
		t.Helper()
		for begun := time.Now(); works() != want; time.Sleep(10 * time.Millisecond) {
			if time.Since(begun) > 2*time.Second {
				t.Fatalf("%s: two seconds later the other node has not heard of it", what)
			}
		}
	}
	off, on := false, true
	until(true, "created")
	_, err = a.ChangeCredential(ctx, who, c.ID, CredentialChange{Enabled: &off})
	must(err)
	until(false, "disabled")
	_, err = a.ChangeCredential(ctx, who, c.ID, CredentialChange{Enabled: &on})
	must(err)
	until(true, "enabled")
	must(a.DeleteCredential(ctx, who, c.ID))
	until(false, "deleted")
}

// works2 asks both once more: the news may come between two questions.
func works2(t *testing.T, b *Authority, c Credential, token Token) bool {
	t.Helper()
	_, err := b.Password(t.Context(), "x", c.Secret, "")
	_, err2 := b.Token(t.Context(), token.Value)
	if (err == nil) != (err2 == nil) {
		t.Fatalf("the word says %v, the token %v", err, err2)
	}
	return err == nil
}
