package iam

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

func TestLogin(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	l, err := w.CreateLogin(ctx, w.alice, "", time.Hour)
	w.must(err)
	project, access, _ := strings.Cut(l.User, "@")
	if project != "region-1" || !isAccess(access) || len(l.Password) != 64 || l.Expires.Nanosecond() != 0 || l.Expires.Sub(w.now().Add(time.Hour)).Abs() > time.Minute {
		t.Errorf("%+v", l)
	}
	want := w.alice
	want.Key = access
	if who, err := w.Password(ctx, l.User, l.Password, ""); err != nil || who != want {
		t.Fatal(who, err)
	}
	if keys, err := w.Keys(ctx, w.alice, "", "alice"); err != nil || len(keys) != 0 {
		t.Errorf("it counts as a key: %v, %v", keys, err)
	}
	_, err = w.CreateLogin(ctx, w.alice, "elsewhere", time.Hour)
	w.want(err, fault.ProjectUnknown)
	_, err = w.CreateLogin(ctx, w.alice, "", 0)
	w.want(err, fault.Invalid)
	_, err = w.CreateLogin(ctx, Caller{}, "", time.Hour)
	w.want(err, fault.Unauthorized)
	_, err = w.CreateLogin(ctx, Operator(), "", time.Hour)
	w.want(err, fault.Unsupported)

	// It signs nothing, even for who knows its secret, which nobody is told.
	sealed, err := db.One[[]byte](ctx, w.d, `SELECT secret FROM access_key WHERE access = $1`, access)
	w.must(err)
	secret, err := w.Unseal(sealedKey(access), sealed)
	w.must(err)
	r := Request{Method: "GET", Path: "/"}
	sign(&r, access, string(secret), w.now(), sumOf(""))
	w.refused("the key of a login", r, "")

	out := func(what string) {
		t.Helper()
		if _, err := w.Password(ctx, l.User, l.Password, what); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.must(w.SetUserEnabled(ctx, Operator(), "acme", "alice", false))
	out("disabled")
	w.must(w.SetUserEnabled(ctx, Operator(), "acme", "alice", true))
	if _, err := w.Password(ctx, l.User, l.Password, ""); err != nil {
		t.Error("enabled again:", err)
	}
	w.clock.add(time.Hour)
	out("expired")
	w.clock.add(2 * time.Minute)
	w.must(w.removeExpired(ctx))
	if n := w.count("access_key"); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	l, err = w.CreateLogin(ctx, w.alice, "region-1", time.Hour)
	w.must(err)
	w.must(w.DeleteUser(ctx, Operator(), "acme", "alice"))
	out("deleted")
}

func TestSession(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	s, err := w.CreateSession(ctx, w.alice, MinSession)
	w.must(err)
	with := func(token string) Request {
		r := Request{Method: "GET", Path: "/", Header: http.Header{"X-Security-Token": {token}}}
		if token == "" {
			delete(r.Header, "X-Security-Token")
		}
		sign(&r, s.Access, s.Secret, w.now(), sumOf(""))
		return r
	}
	want := w.alice
	want.Key = s.Access
	if who, err := w.signedBy(with(s.Token), ""); err != nil || who != want {
		t.Fatal(who, err)
	}
	other, err := w.CreateSession(ctx, w.alice, MaxSession)
	w.must(err)
	w.refused("no security token", with(""), "")
	w.refused("that of another key", with(other.Token), "")
	w.refused("a forged one", with(other.Token+"A"), "")
	if _, err := w.Password(ctx, "region-1@"+s.Access, KeyPassword(s.Access, s.Secret), ""); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("it logs in to the registry without its token: %v", err)
	}
	for _, life := range []time.Duration{0, MinSession - 1, MaxSession + 1} {
		_, err := w.CreateSession(ctx, w.alice, life)
		w.want(err, fault.Invalid)
	}
	for range maxKeys {
		w.key(w.alice)
	}
	w.clock.add(MinSession)
	w.refused("expired", with(s.Token), "")
}

// What a key made ends with the key, and no later than it.
func TestTemporaryKeysEndWithTheirParent(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	k := w.key(w.alice)
	byKey := w.alice
	byKey.Key = k.Access
	session, err := w.CreateSession(ctx, byKey, time.Hour)
	w.must(err)
	bySession := w.alice
	bySession.Key = session.Access
	login, err := w.CreateLogin(ctx, bySession, "", 24*time.Hour)
	w.must(err)
	if login.Expires.After(session.Expires) {
		t.Errorf("the login ends at %v, after the session that made it at %v", login.Expires, session.Expires)
	}
	works := func() bool {
		_, err := w.Password(ctx, login.User, login.Password, "")
		return err == nil
	}
	if !works() {
		t.Fatal("the login does not work")
	}
	w.must(w.SetKeyEnabled(ctx, Operator(), k.Access, false))
	if works() {
		t.Error("the login works though the first key is disabled")
	}
	_, err = w.CreateLogin(ctx, bySession, "", time.Hour)
	w.want(err, fault.Unauthorized)
	w.must(w.SetKeyEnabled(ctx, Operator(), k.Access, true))
	if !works() {
		t.Error("the login does not work again")
	}
	w.must(w.DeleteKey(ctx, Operator(), k.Access))
	if works() {
		t.Error("the login works though the first key is deleted")
	}
}

// Another password ends what the old one made, and nothing that a key made.
func TestTemporaryKeysEndWithThePassword(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	k := w.key(w.alice)
	byKey := w.alice
	byKey.Key = k.Access
	lasting, err := w.CreateLogin(ctx, byKey, "", time.Hour)
	w.must(err)
	for name, change := range map[string]func() error{
		"set":     func() error { return w.SetPassword(ctx, Operator(), "acme", "alice", "set-password") },
		"changed": func() error { return changePassword(ctx, w, "changed-password") },
	} {
		session, err := w.CreateSession(ctx, w.alice, time.Hour)
		w.must(err)
		bySession := w.alice
		bySession.Key = session.Access
		login, err := w.CreateLogin(ctx, bySession, "", time.Hour)
		w.must(err)
		r := Request{Method: "GET", Path: "/", Header: http.Header{"X-Security-Token": {session.Token}}}
		sign(&r, session.Access, session.Secret, w.now(), sumOf(""))
		if _, err := w.signedBy(r, ""); err != nil {
			t.Fatal(err)
		}
		w.must(change())
		w.refused(name+": a session", r, "")
		if _, err := w.Password(ctx, login.User, login.Password, ""); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%s: a login: %v", name, err)
		}
	}
	if _, err := w.Password(ctx, lasting.User, lasting.Password, ""); err != nil {
		t.Error("a login by a key:", err)
	}
}

// Who waits with a good token while the password changes makes no key after it.
func TestTemporaryKeysOfAnOldToken(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	token, err := w.PasswordToken(ctx, UserRef{ID: w.alice.User}, alicePassword, "", Scope{})
	w.must(err)
	who, err := w.APICaller(ctx, token.Value)
	w.must(err)
	_, err = w.CreateLogin(ctx, who, "", time.Hour)
	w.must(err)
	w.must(w.SetPassword(ctx, Operator(), "acme", "alice", "set-password"))
	_, err = w.CreateLogin(ctx, who, "", time.Hour)
	w.want(err, fault.Unauthorized)
	_, err = w.CreateSession(ctx, who, time.Hour)
	w.want(err, fault.Unauthorized)
	_, err = w.AddKey(ctx, who, UserRef{ID: who.User}, "")
	w.want(err, fault.Unauthorized)
	if n := w.count("access_key"); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

func changePassword(ctx context.Context, w *world, password string) error {
	_, err := w.ChangeUser(ctx, w.boss, UserRef{ID: w.alice.User}, UserChange{Password: &password})
	return err
}

func TestTemporaryKeysAreBounded(t *testing.T) {
	w := open(t)
	w.must(w.update(func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO access_key (access, account, iam_user, secret, enabled, description, created, expires, kind)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			SELECT 'K' || i, $2, $3, $4, true, '', 0, $5, 'login' FROM n`, maxTemporary, w.acme.ID, w.alice.User, []byte{1}, w.now().Add(time.Hour).UnixMicro())
		return err
	}))
	_, err := w.CreateLogin(t.Context(), w.alice, "", time.Hour)
	w.want(err, fault.TooMany)
	if _, err := w.CreateLogin(t.Context(), w.boss, "", time.Hour); err != nil {
		t.Error("another user:", err)
	}
	w.clock.add(2 * time.Hour)
	w.must(w.removeExpired(t.Context()))
	if _, err := w.CreateLogin(t.Context(), w.alice, "", time.Hour); err != nil {
		t.Error(err)
	}
	w.must(w.DeleteUser(t.Context(), Operator(), "acme", "alice"))
}

// A user who is deleted while he asks for logins gets them, or is told that he
// is not logged in any more; the deletion does not fail for it.
func TestLoginsBesideDeletion(t *testing.T) {
	w := open(t)
	for i := range 5 {
		name := "user" + strings.Repeat("x", i)
		who := w.user("acme", name, "", false)
		ended := make(chan error)
		go func() {
			for {
				if _, err := w.CreateLogin(t.Context(), who, "", time.Hour); err != nil {
					ended <- err
					return
				}
			}
		}()
		time.Sleep(time.Duration(i) * 3 * time.Millisecond)
		w.must(w.DeleteUser(t.Context(), Operator(), "acme", name))
		w.want(<-ended, fault.Unauthorized)
	}
	if n := w.count("access_key"); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}
