package iam

import (
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
)

func (w *world) ref(who Caller) UserRef {
	return UserRef{Name: who.UserName, Account: AccountRef{Name: who.AccountName}}
}

// apiToken logs alice or boss in.
func (w *world) apiToken(who Caller, password string) APIToken {
	w.t.Helper()
	tok, err := w.PasswordToken(w.t.Context(), w.ref(who), password, "192.0.2.1", Scope{})
	w.must(err)
	return tok
}

func (w *world) dead(what, raw string, reason Reason) {
	w.t.Helper()
	who, err := w.APICaller(w.t.Context(), raw)
	if !fault.Is(err, fault.Unauthorized) || ReasonOf(err) != reason || who != (Caller{}) {
		w.t.Errorf("%s: %v, %v", what, who, err)
	}
}

func (w *world) alive(what, raw string) {
	w.t.Helper()
	if _, err := w.APICaller(w.t.Context(), raw); err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
}

func TestAPITokens(t *testing.T) {
	w := open(t)
	projects, err := w.Projects(t.Context(), w.alice, "")
	w.must(err)
	region := projects[0]
	for name, c := range map[string]struct {
		user  UserRef
		scope Scope
		want  Project
	}{
		"by names":            {w.ref(w.alice), Scope{}, Project{}},
		"by id":               {UserRef{ID: w.alice.User}, Scope{Account: AccountRef{Name: "acme"}}, Project{}},
		"by account id":       {UserRef{Name: "alice", Account: AccountRef{ID: w.acme.ID}}, Scope{Account: AccountRef{ID: w.acme.ID}}, Project{}},
		"project":             {w.ref(w.alice), Scope{Project: "region-1"}, region},
		"project in account":  {w.ref(w.alice), Scope{Project: "region-1", Account: AccountRef{Name: "acme"}}, region},
		"project with its id": {w.ref(w.alice), Scope{ProjectID: region.ID}, region},
	} {
		tok, err := w.PasswordToken(t.Context(), c.user, alicePassword, "192.0.2.1", c.scope)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tok.Caller != w.alice || tok.Project != c.want || tok.Expires.Sub(tok.Issued) != 24*time.Hour || !slices.Equal(tok.Methods, []string{"password"}) {
			t.Errorf("%s: %+v", name, tok)
		}
		want := w.alice
		want.version = 1
		who, err := w.APICaller(t.Context(), tok.Value)
		if want.tokens = who.tokens; err != nil || who != want || len(who.tokens) != 2*apiTokenIDSize {
			t.Errorf("%s: %v, %v", name, who, err)
		}
		shown, err := w.ShowToken(t.Context(), w.alice, tok.Value)
		tok.Value = ""
		if err != nil || shown.Caller != tok.Caller || shown.Project != tok.Project || shown.Issued != tok.Issued || shown.Expires != tok.Expires {
			t.Errorf("%s: %+v, %v", name, shown, err)
		}
	}
	foreign, err := w.Projects(t.Context(), Operator(), FirstName)
	w.must(err)
	for name, s := range map[string]Scope{
		"another account": {Account: AccountRef{Name: FirstName}}, "no account": {Account: AccountRef{ID: "x"}}, "no project": {Project: "x"},
		"another's project": {ProjectID: foreign[0].ID}, "project of another": {Project: "region-1", Account: AccountRef{Name: FirstName}},
	} {
		if tok, err := w.PasswordToken(t.Context(), w.ref(w.alice), alicePassword, "", s); !fault.Is(err, fault.Unauthorized) || tok.Value != "" {
			t.Errorf("%s: %+v, %v", name, tok, err)
		}
	}
}

// Whatever is wrong costs one hash and reads alike.
func TestPasswordTokenFailures(t *testing.T) {
	w := open(t)
	w.user("acme", "off", alicePassword, false)
	w.must(w.SetUserEnabled(t.Context(), Operator(), "acme", "off", false))
	off := w.ref(w.alice)
	off.Name = "off"
	for i, c := range []struct {
		user     UserRef
		password string
	}{
		{w.ref(w.alice), "wrong"}, {off, "wrong"}, {UserRef{ID: w.alice.User}, "wrong"}, {UserRef{ID: "nobody"}, alicePassword},
		{UserRef{Name: "nobody", Account: AccountRef{Name: "acme"}}, alicePassword}, {UserRef{Name: "alice", Account: AccountRef{Name: "nowhere"}}, alicePassword},
		{UserRef{Name: "alice", Account: AccountRef{ID: "nowhere"}}, alicePassword}, {UserRef{Name: "a/l@ice", Account: AccountRef{Name: "acme"}}, alicePassword},
		{UserRef{Name: strings.Repeat("a", 500), Account: AccountRef{Name: "acme"}}, alicePassword}, {w.ref(w.alice), strings.Repeat("a", 5000)},
	} {
		before := w.Stats().Hashes
		_, err := w.PasswordToken(t.Context(), c.user, c.password, "", Scope{})
		if err == nil || err.Error() != wrongPassword().Error() || ReasonOf(err) != WrongPassword || w.Stats().Hashes != before+1 {
			t.Errorf("%d: %v after %d hashes", i, err, w.Stats().Hashes-before)
		}
	}
	_, err := w.PasswordToken(t.Context(), off, alicePassword, "192.0.2.9", Scope{})
	if !fault.Is(err, fault.Denied) || ReasonOf(err) != Disabled {
		t.Errorf("disabled: %v", err)
	}
	if _, err := w.Password(t.Context(), "acme/off", alicePassword, "192.0.2.9"); err == nil || err.Error() != wrongPassword().Error() || ReasonOf(err) == Disabled {
		t.Errorf("a login to the registry tells that the user is disabled: %v", err)
	}
	// All spellings of one user count as one.
	for i := range 6 {
		ref := []UserRef{w.ref(w.boss), {ID: w.boss.User}, {Name: "boss", Account: AccountRef{ID: w.acme.ID}}}[i%3]
		_, err = w.PasswordToken(t.Context(), ref, "wrong", "192.0.2.7", Scope{})
	}
	if !fault.Is(err, fault.TooMany) {
		t.Errorf("the sixth failure: %v", err)
	}
}

func TestAPITokensEnd(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	tok := w.apiToken(w.alice, alicePassword)
	on := func(change func(bool) error) {
		w.must(change(false))
		w.dead("disabled", tok.Value, WrongToken)
		w.must(change(true))
		w.alive("enabled again", tok.Value)
	}
	on(func(on bool) error { return w.SetUserEnabled(ctx, Operator(), "acme", "alice", on) })
	on(func(on bool) error { return w.SetAccountEnabled(ctx, Operator(), "acme", on) })
	w.must(w.SetPassword(ctx, Operator(), "acme", "alice", "another one"))
	w.dead("changed password", tok.Value, WrongToken)

	tok = w.apiToken(w.alice, "another one")
	name := "alicia"
	if _, err := w.ChangeUser(ctx, w.boss, UserRef{ID: w.alice.User}, UserChange{Name: &name}); err != nil {
		t.Fatal(err)
	}
	w.dead("renamed", tok.Value, WrongToken)
	if _, err := w.Password(ctx, "acme/alice", "another one", ""); err == nil {
		t.Error("the old name still logs in")
	}
	w.alice.UserName = name
	tok = w.apiToken(w.alice, "another one")
	w.clock.add(24*time.Hour - time.Second)
	w.alive("at the end", tok.Value)
	w.clock.add(time.Second)
	w.dead("expired", tok.Value, ExpiredToken)

	tok = w.apiToken(w.alice, "another one")
	w.must(w.DeleteUser(ctx, Operator(), "acme", name))
	w.dead("deleted", tok.Value, WrongToken)
	for _, raw := range []string{"", "x", tok.Value + "A", tok.Value[1:], tok.Value + "\n", strings.Repeat("A", 10000), w.Sign("refresh", []byte("{}")), w.Sign(apiTokenPurpose, []byte("{}")), w.Sign(apiTokenPurpose, []byte("x"))} {
		w.dead("forged", raw, WrongToken)
	}
}

func TestRevokeToken(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	first, other := w.apiToken(w.alice, alicePassword), w.apiToken(w.alice, alicePassword)
	second, err := w.RescopeToken(ctx, first.Value, Scope{Project: "region-1"})
	w.must(err)
	if second.Expires != first.Expires || second.Project.Name != "region-1" || !slices.Equal(second.Methods, []string{"token", "password"}) {
		t.Errorf("%+v", second)
	}
	third, err := w.RescopeToken(ctx, second.Value, Scope{})
	w.must(err)
	w.must(w.RevokeToken(ctx, w.alice, second.Value))
	w.alive("the one it was made from", first.Value)
	w.dead("revoked", second.Value, WrongToken)
	w.dead("made from it", third.Value, WrongToken)
	w.want(w.RevokeToken(ctx, w.alice, second.Value), fault.Unauthorized)
	w.must(w.RevokeToken(ctx, w.alice, first.Value))
	w.dead("revoked", first.Value, WrongToken)
	w.alive("another", other.Value)

	bob := w.user("acme", "bob", alicePassword, false)
	w.want(w.RevokeToken(ctx, bob, other.Value), fault.Denied)
	_, err = w.ShowToken(ctx, bob, other.Value)
	w.want(err, fault.Denied)
	admin := w.apiTokenCaller(FirstName, adminPassword)
	w.want(w.RevokeToken(ctx, admin, other.Value), fault.Unauthorized)
	w.must(w.RevokeToken(ctx, w.boss, other.Value))
	w.dead("revoked by an administrator", other.Value, WrongToken)

	if n := w.count("revoked_token"); n != 3 {
		t.Errorf("%d rows", n)
	}
	w.clock.add(25 * time.Hour)
	w.must(w.removeExpired(ctx))
	if n := w.count("revoked_token"); n != 0 {
		t.Errorf("%d rows after their time", n)
	}
}

func (w *world) apiTokenCaller(name, password string) Caller {
	w.t.Helper()
	tok, err := w.PasswordToken(w.t.Context(), UserRef{Name: name, Account: AccountRef{Name: name}}, password, "", Scope{})
	w.must(err)
	return tok.Caller
}

// A token that was looked at before must not outlive its revocation elsewhere.
func TestRevokedElsewhere(t *testing.T) {
	w := open(t)
	tok := w.apiToken(w.alice, alicePassword)
	other := authority(t, w.d, w.clock)
	other.exact = false // as on PostgreSQL, where others write
	if _, err := other.APICaller(t.Context(), tok.Value); err != nil {
		t.Fatal(err)
	}
	w.must(w.RevokeToken(t.Context(), w.alice, tok.Value))
	w.must(other.poll(t.Context()))
	if _, err := other.APICaller(t.Context(), tok.Value); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("after the poll: %v", err)
	}
	tok = w.apiToken(w.alice, alicePassword)
	if _, err := other.APICaller(t.Context(), tok.Value); err != nil {
		t.Fatal(err)
	}
	w.must(w.RevokeToken(t.Context(), w.alice, tok.Value))
	w.clock.add(freshFor)
	if _, err := other.APICaller(t.Context(), tok.Value); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("after two seconds without a poll: %v", err)
	}
}

func TestRescopeIsBounded(t *testing.T) {
	w := open(t)
	raw := w.apiToken(w.alice, alicePassword).Value
	n := 0
	for ; n < 2*maxDerived; n++ {
		tok, err := w.RescopeToken(t.Context(), raw, Scope{Project: "region-1"})
		if err != nil {
			w.want(err, fault.Unauthorized)
			break
		}
		raw = tok.Value
		w.alive("derived", raw)
	}
	if n != maxDerived || len(raw) > maxSigned {
		t.Errorf("%d tokens, the last of %d bytes", n, len(raw))
	}
}

func TestWarmAPITokenTakesNoSQL(t *testing.T) {
	w := open(t)
	raw := w.apiToken(w.alice, alicePassword).Value
	w.alive("first", raw)
	w.quiet("a token", func() { w.alive("again", raw) })
}

func FuzzAPIToken(f *testing.F) {
	w := open(f)
	raw := w.apiToken(w.alice, alicePassword).Value
	f.Add(raw)
	f.Fuzz(func(t *testing.T, s string) {
		if who, err := w.APICaller(t.Context(), s); err == nil && s != raw {
			t.Errorf("%q is a token of %v", s, who)
		}
	})
}
