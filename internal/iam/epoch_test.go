package iam

import (
	"errors"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// Every change counts from the next call on, however warm the caches are.
func TestChangesTakeEffectAtOnce(t *testing.T) {
	w := open(t)
	ctx := t.Context()
	org := w.org(w.acme.ID, "team")
	repo := w.repo(org, "app", false)
	w.give(w.alice, repo, Edit, Read)
	k := w.key(w.alice)
	byKey := w.alice
	byKey.Key = k.Access
	token, err := w.Issue(ctx, w.alice, nil)
	w.must(err)
	keyToken, err := w.Issue(ctx, byKey, nil)
	w.must(err)

	// state is what works: rights, tokens and logins of the user and the key.
	type state struct{ Push, Pull, Token, Password, ByKey, KeyToken, KeyPull bool }
	all := state{true, true, true, true, true, true, true}
	now := func() (s state) {
		t.Helper()
		is := func(err error) bool {
			if err != nil && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Unauthorized) {
				t.Error(err)
			}
			return err == nil
		}
		w.clock.add(time.Hour) // no failure slows the next login down
		w.freshen()
		token, keyToken := token, keyToken
		if w.clock.now().After(token.Issued.Add(24 * time.Hour)) {
			t.Fatal("the test took too many hours")
		}
		s.Push, s.Pull = is(w.Check(ctx, w.alice, Push, repo)), is(w.Check(ctx, w.alice, Pull, repo))
		s.KeyPull = is(w.Check(ctx, byKey, Pull, repo))
		_, err := w.Token(ctx, token.Value)
		s.Token = is(err)
		_, err = w.Token(ctx, keyToken.Value)
		s.KeyToken = is(err)
		_, err = w.Password(ctx, "acme/alice", alicePassword, "")
		s.Password = is(err)
		_, err = w.Password(ctx, "region-1@"+k.Access, KeyPassword(k.Access, k.Secret), "")
		s.ByKey = is(err)
		return s
	}
	if got := now(); got != all {
		t.Fatalf("at first: %+v", got)
	}
	noUser := state{}
	noKey := state{Push: true, Pull: true, Token: true, Password: true}
	for _, c := range []struct {
		name string
		do   func() error
		want state
		undo func() error
	}{
		{"user disabled", func() error { return w.SetUserEnabled(ctx, w.boss, "", "alice", false) }, noUser,
			func() error { return w.SetUserEnabled(ctx, w.boss, "", "alice", true) }},
		{"account disabled", func() error { return w.SetAccountEnabled(ctx, Operator(), "acme", false) }, noUser,
			func() error { return w.SetAccountEnabled(ctx, Operator(), "acme", true) }},
		{"key disabled", func() error { return w.SetKeyEnabled(ctx, w.boss, k.Access, false) }, noKey,
			func() error { return w.SetKeyEnabled(ctx, w.boss, k.Access, true) }},
		{"organization right lowered",
			func() error {
				return w.update(func(tx *db.Tx) error { return w.ChangeOrgGrant(tx, w.boss, org, w.alice.User, Read) })
			}, state{false, true, true, true, true, true, true},
			func() error {
				return w.update(func(tx *db.Tx) error { return w.ChangeOrgGrant(tx, w.boss, org, w.alice.User, Edit) })
			}},
		{"organization right revoked",
			func() error {
				return w.update(func(tx *db.Tx) error { return w.RevokeOrg(tx, w.boss, org, w.alice.User) })
			}, state{false, true, true, true, true, true, true}, nil},
		{"repository right revoked too",
			func() error {
				return w.update(func(tx *db.Tx) error { return w.RevokeRepo(tx, w.boss, repo, w.alice.User) })
			}, state{false, false, true, true, true, true, false},
			func() error { return w.SetAdmin(ctx, w.boss, "", "alice", true) }},
		{"password changed", func() error { return w.SetPassword(ctx, w.boss, "", "alice", "another password") },
			state{true, true, true, false, true, true, true},
			func() error { return w.SetPassword(ctx, w.boss, "", "alice", alicePassword) }},
		{"key deleted", func() error { return w.DeleteKey(ctx, w.boss, k.Access) }, noKey, nil},
		{"user deleted", func() error { return w.DeleteUser(ctx, w.boss, "", "alice") }, noUser, nil},
	} {
		w.must(c.do())
		if got := now(); got != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", c.name, got, c.want)
		}
		if c.undo != nil {
			w.must(c.undo())
			if got := now(); got != all {
				t.Errorf("%s, and back: %+v", c.name, got)
			}
		}
	}
}

func TestKeyExpires(t *testing.T) {
	w := open(t)
	k := w.key(w.alice)
	end := w.clock.now().Add(time.Minute)
	w.must(w.update(func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE access_key SET expires = $2 WHERE access = $1`, k.Access, end.UnixMicro()); err != nil {
			return err
		}
		return w.Raise(tx, w.acme.ID)
	}))
	login := func() error {
		_, err := w.Password(t.Context(), "region-1@"+k.Access, KeyPassword(k.Access, k.Secret), "")
		return err
	}
	w.want(login(), "")
	keys, err := w.Keys(t.Context(), w.boss, "", "alice")
	if err != nil || len(keys) != 1 || !keys[0].Expires.Equal(end.Truncate(time.Microsecond)) {
		t.Errorf("keys = %+v, %v", keys, err)
	}
	w.clock.add(time.Minute)
	w.freshen()
	w.want(login(), fault.Unauthorized)
	byKey := w.alice
	byKey.Key = k.Access
	w.want(w.allow(byKey, ListOrgs, Resource{Account: w.acme.ID}), fault.Unauthorized)
	byKey.Key = w.key(w.boss).Access // a key counts for its own user only
	w.want(w.allow(byKey, ListOrgs, Resource{Account: w.acme.ID}), fault.Unauthorized)
}

func TestEpochs(t *testing.T) {
	w := open(t)
	before, other := w.Epoch(w.acme.ID), w.Epoch("other")
	fail := errors.New("rolled back")
	if err := w.update(func(tx *db.Tx) error { return errors.Join(w.Raise(tx, w.acme.ID), fail) }); !errors.Is(err, fail) {
		t.Fatal(err)
	}
	if w.Epoch(w.acme.ID) != before {
		t.Error("a transaction that was rolled back raised the epoch")
	}
	w.must(w.update(func(tx *db.Tx) error { return w.Raise(tx, w.acme.ID, w.acme.ID) }))
	if got := w.Epoch(w.acme.ID); got != before+1 {
		t.Errorf("the epoch went from %d to %d", before, got)
	}
	if w.Epoch("other") != other {
		t.Error("another account's epoch was raised")
	}
	w.invalidate([]any{raised{w.acme.ID, 1}, "a key of somebody else"})
	if got := w.Epoch(w.acme.ID); got != before+1 {
		t.Errorf("the epoch fell to %d", got)
	}
	w.invalidate(nil)
	if w.Epoch(w.acme.ID) != before+2 || w.Epoch("other") != other+1 {
		t.Error("not all epochs were raised when everything may have changed")
	}
}

// remote changes something as another node would: this one is not told.
func (w *world) remote(account, sql string, args ...any) {
	w.t.Helper()
	w.must(w.update(func(tx *db.Tx) error {
		if _, err := tx.Exec(sql, args...); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE epoch SET n = n + 1 WHERE account = $1`, account)
		return err
	}))
}

func TestOtherNodes(t *testing.T) {
	w := open(t)
	w.exact = false
	w.must(w.poll(t.Context()))
	on := Resource{Account: w.acme.ID}
	w.want(w.Check(t.Context(), w.alice, ListOrgs, on), "")
	w.quiet("a check that was made before", func() { w.want(w.Check(t.Context(), w.alice, ListOrgs, on), "") })

	w.remote(w.acme.ID, `UPDATE iam_user SET enabled = false WHERE id = $1`, w.alice.User)
	w.must(w.poll(t.Context()))
	w.want(w.Check(t.Context(), w.alice, ListOrgs, on), fault.Unauthorized)
	w.remote(w.acme.ID, `UPDATE iam_user SET enabled = true WHERE id = $1`, w.alice.User)
	w.must(w.poll(t.Context()))
	w.want(w.Check(t.Context(), w.alice, ListOrgs, on), "")
}

func TestStaleCachesAreNotUsed(t *testing.T) {
	w := open(t)
	w.must(w.Close()) // no poll but those below
	w.exact = false
	w.must(w.poll(t.Context()))
	on := Resource{Account: w.acme.ID}
	w.want(w.Check(t.Context(), w.alice, ListOrgs, on), "")

	w.clock.add(freshFor - time.Millisecond)
	if !w.Fresh() {
		t.Error("not fresh within two seconds")
	}
	w.quiet("a check within two seconds", func() { w.want(w.Check(t.Context(), w.alice, ListOrgs, on), "") })
	w.clock.add(time.Millisecond)
	if w.Fresh() {
		t.Error("fresh after two seconds without a poll")
	}
	// Now the rows count, though no epoch changed and nobody polled.
	w.remote("nobody", `UPDATE iam_user SET enabled = false WHERE id = $1`, w.alice.User)
	w.want(w.Check(t.Context(), w.alice, ListOrgs, on), fault.Unauthorized)
	plug := w.unplug()
	if err := w.poll(t.Context()); err == nil {
		t.Error("a poll succeeded without the database")
	}
	plug()
	if w.Fresh() {
		t.Error("fresh after a poll that failed")
	}
	w.must(w.poll(t.Context()))
	if !w.Fresh() {
		t.Error("not fresh after a poll")
	}
}

// A fill that read its rows before a change must not outlive the change.
func TestFillBesideChange(t *testing.T) {
	w := open(t)
	about := ask{user: w.alice.User}
	epoch := w.epochs.of(w.acme.ID)
	s, err := readStanding(t.Context(), w.d, about)
	w.must(err)
	w.must(w.SetUserEnabled(t.Context(), w.boss, "", "alice", false))
	w.standings.put(about, &cachedStanding{*s, epoch}) // as a slow reader does
	w.want(w.Check(t.Context(), w.alice, ListOrgs, Resource{Account: w.acme.ID}), fault.Unauthorized)
}

// Two nodes on one database: the second learns by itself, in the background.
func TestBackgroundPoll(t *testing.T) {
	w := open(t)
	b := authority(t, w.d, w.clock)
	if b.exact {
		// One process is the only writer here; the poll runs on PostgreSQL only.
		b.exact = false
		b.done.Go(func() { b.keepFresh(t.Context()) })
	}
	on := Resource{Account: w.acme.ID}
	w.want(b.Check(t.Context(), w.alice, ListOrgs, on), "")
	w.remote(w.acme.ID, `UPDATE iam_user SET enabled = false WHERE id = $1`, w.alice.User)
	deadline := time.Now().Add(10 * time.Second)
	for b.Check(t.Context(), w.alice, ListOrgs, on) == nil {
		if time.Now().After(deadline) {
			t.Fatal("the other node never learned of the change")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
