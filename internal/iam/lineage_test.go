package iam

import (
	"net/http"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
)

// made is a session and a login that were made with something.
type made struct {
	session Session
	login   Login
}

func (w *world) made(who Caller) made {
	w.t.Helper()
	s, err := w.CreateSession(w.t.Context(), who, time.Hour)
	w.must(err)
	l, err := w.CreateLogin(w.t.Context(), who, "", time.Hour)
	w.must(err)
	return made{s, l}
}

// caller is who signs with the session.
func (m made) caller(who Caller) Caller {
	who.Key, who.tokens, who.version = m.session.Access, "", 0
	return who
}

// works reports whether both work; it is an error when only one does.
func (w *world) works(m made) bool {
	w.t.Helper()
	r := Request{Method: "GET", Path: "/", Header: http.Header{"X-Security-Token": {m.session.Token}}}
	sign(&r, m.session.Access, m.session.Secret, w.now(), sumOf(""))
	_, signed := w.signedBy(r, "")
	w.clock.add(time.Second) // so that no failure slows the next login down
	_, login := w.Password(w.t.Context(), m.login.User, m.login.Password, "")
	if (signed == nil) != (login == nil) {
		w.t.Errorf("the session: %v, the login: %v", signed, login)
	}
	return signed == nil && login == nil
}

func (w *world) byToken(raw string) Caller {
	w.t.Helper()
	who, err := w.APICaller(w.t.Context(), raw)
	w.must(err)
	return who
}

// What was made with a token ends when the token, or one it was made from, is
// revoked, and so does what was made with that.
func TestTemporaryKeysEndWithTheToken(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	first, other := w.apiToken(w.alice, alicePassword), w.apiToken(w.alice, alicePassword)
	second, err := w.RescopeToken(ctx, first.Value, Scope{})
	w.must(err)

	byFirst, bySecond, byOther := w.made(w.byToken(first.Value)), w.made(w.byToken(second.Value)), w.made(w.byToken(other.Value))
	child := w.made(bySecond.caller(w.alice))
	grandchild := w.made(child.caller(w.alice))
	all := []made{byFirst, bySecond, byOther, child, grandchild}
	alive := func(after string, want ...bool) {
		t.Helper()
		for i, m := range all {
			if got := w.works(m); got != want[i] {
				t.Errorf("after %s, number %d works: %v", after, i, got)
			}
		}
	}
	alive("nothing", true, true, true, true, true)
	waiting := w.byToken(second.Value)
	w.must(w.RevokeToken(ctx, w.alice, second.Value))
	alive("the second token", true, false, true, false, false)

	// Who waits with a token while it is revoked makes nothing with it after.
	_, err = w.CreateLogin(ctx, waiting, "", time.Hour)
	w.want(err, fault.Unauthorized)
	_, err = w.CreateSession(ctx, waiting, time.Hour)
	w.want(err, fault.Unauthorized)
	_, err = w.CreateSession(ctx, child.caller(w.alice), time.Hour)
	w.want(err, fault.Unauthorized)

	w.must(w.RevokeToken(ctx, w.boss, first.Value))
	alive("the first token", false, false, true, false, false)
	w.must(w.RevokeToken(ctx, w.alice, other.Value))
	if n := w.count("access_key") + w.count("lineage"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// What a temporary key made ends with it.
func TestTemporaryKeysEndWithTheirMaker(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	for name, end := range map[string]func(access string) error{
		"deleted":  func(access string) error { return w.DeleteKey(ctx, w.alice, access) },
		"disabled": func(access string) error { return w.SetKeyEnabled(ctx, w.alice, access, false) },
	} {
		k := w.key(w.alice)
		byKey := w.alice
		byKey.Key = k.Access
		parent := w.made(byKey)
		sister := w.made(byKey)
		child := w.made(parent.caller(w.alice))
		grandchild := w.made(child.caller(w.alice))
		if !w.works(grandchild) {
			t.Fatal("it does not work at first")
		}
		w.must(end(parent.session.Access))
		if w.works(child) || w.works(grandchild) || !w.works(sister) {
			t.Errorf("%s: what it made lives, or what it did not make does not", name)
		}
		if _, err := w.CreateLogin(ctx, parent.caller(w.alice), "", time.Hour); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("%s: %v", name, err)
		}
		w.must(w.DeleteKey(ctx, Operator(), k.Access))
	}
}

// A line of keys does not grow for ever.
func TestLineageIsBounded(t *testing.T) {
	w := open(t)
	who := w.alice
	for n := 0; ; n++ {
		s, err := w.CreateSession(t.Context(), who, time.Hour)
		if err != nil {
			w.want(err, fault.TooMany)
			if n != maxAncestors+1 {
				t.Errorf("it ended after %d", n)
			}
			return
		}
		if n > maxAncestors {
			t.Fatal("it goes on")
		}
		who.Key = s.Access
	}
}

// A token that is revoked while keys are made with it leaves none.
func TestRevocationBesideNewKeys(t *testing.T) {
	w := open(t)
	for i := range 5 {
		tok := w.apiToken(w.alice, alicePassword)
		who := w.byToken(tok.Value)
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
		w.must(w.RevokeToken(t.Context(), w.alice, tok.Value))
		w.want(<-ended, fault.Unauthorized)
		if n := w.count("access_key"); n != 0 {
			t.Fatalf("%d keys are left", n)
		}
	}
}
