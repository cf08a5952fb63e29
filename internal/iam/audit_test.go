package iam

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

type audited struct{ Account, Actor, Action, Resource, Outcome, Request string }

func (w *world) audit(where string, args ...any) []audited {
	w.t.Helper()
	rows, err := db.All[audited](w.t.Context(), w.d, `SELECT account, actor, action, resource, outcome, request FROM audit WHERE `+where+` ORDER BY id`, args...)
	w.must(err)
	return rows
}

func TestAudit(t *testing.T) {
	w := open(t)
	ctx := WithRequest(t.Context(), "request 1")
	org := w.org(w.acme.ID, "team")
	last := w.audit("account = $1", w.acme.ID)
	k, err := w.CreateKey(ctx, w.boss, "", "alice", "")
	w.must(err)
	_, err = db.Update(ctx, w.d, func(tx *db.Tx) (struct{}, error) {
		return struct{}{}, w.GrantOrg(tx, Operator(), org, w.alice.User, Edit)
	})
	w.must(err)
	w.must(w.SetUserEnabled(ctx, w.boss, "", "alice", false))
	w.must(w.SetPassword(ctx, w.boss, "", "alice", "another password"))
	w.want(w.SetPassword(ctx, w.boss, "", "nobody", "another password"), fault.UserUnknown)
	fail := errors.New("rolled back")
	if err := w.update(func(tx *db.Tx) error {
		return errors.Join(w.Audit(tx, w.boss, Push, "team/app", "ok"), fail)
	}); !errors.Is(err, fail) {
		t.Fatal(err)
	}
	w.must(w.update(func(tx *db.Tx) error { return w.Audit(tx, System("test").In(w.acme), Push, "team/app", "ok") }))

	want := []audited{
		{w.acme.ID, "acme/boss", "iam:credentials:createCredential", k.Access + " of alice", "ok", "request 1"},
		{w.acme.ID, "operator", "swr:namespace:createNamespaceAccess", "team to alice 3 (edit)", "ok", "request 1"},
		{w.acme.ID, "acme/boss", "iam:users:updateUser", "alice off", "ok", "request 1"},
		{w.acme.ID, "acme/boss", "iam:users:setUserPassword", "alice", "ok", "request 1"},
		{w.acme.ID, "system:test", "swr:repo:upload", "team/app", "ok", ""},
	}
	if diff := cmp.Diff(want, w.audit("account = $1", w.acme.ID)[len(last):]); diff != "" {
		t.Error(diff)
	}
}

func TestDenialsAreRecorded(t *testing.T) {
	w := open(t)
	repo := w.repo(w.org(w.acme.ID, "team"), "app", false)
	ctx := WithRequest(t.Context(), "request 2")
	for range 3 {
		w.want(w.Check(ctx, w.alice, Push, repo), fault.Denied)
	}
	if ok, err := w.May(ctx, w.alice, Pull, repo); ok || err != nil {
		t.Errorf("May = %v, %v", ok, err)
	}
	w.want(w.Check(ctx, Caller{}, Push, repo), fault.Unauthorized)
	w.want(w.update(func(tx *db.Tx) error { return w.Allow(tx, w.alice, DeleteRepo, repo) }), fault.Denied)
	w.must(w.Close()) // writes what waits
	got := w.audit("outcome = 'denied'")
	want := map[audited]bool{
		{w.acme.ID, "acme/alice", "swr:repo:upload", "team/app", "denied", "request 2"}: true,
		{w.acme.ID, "acme/alice", "swr:repo:deleteRepo", "team/app", "denied", ""}:      true,
	}
	for _, r := range got {
		if !want[r] {
			t.Errorf("%+v", r)
		}
		delete(want, r)
	}
	if len(want) != 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestDenialsAreWrittenInTheBackground(t *testing.T) {
	w := open(t)
	for i := range 2 {
		w.want(w.Check(t.Context(), w.alice, Push, Resource{Name: fmt.Sprint("team/app", i)}), fault.Denied)
		waitFor(t, func() bool { return len(w.audit("outcome = 'denied'")) == i+1 })
	}
}

func TestDenialsAreBounded(t *testing.T) {
	w := open(t)
	w.must(w.Close()) // nobody writes
	for i := range denialBatch + 10 {
		w.want(w.Check(t.Context(), w.alice, Push, Resource{Name: fmt.Sprint("team/app", i)}), fault.Denied)
	}
	if n := w.Stats().DenialsLost; n != 10 {
		t.Errorf("%d denials are lost", n)
	}
	w.denials.flush()
	if n := len(w.audit("outcome = 'denied'")); n != denialBatch {
		t.Errorf("%d denials were written", n)
	}
	w.want(w.Check(t.Context(), w.alice, Push, Resource{Name: "team/late"}), fault.Denied)
	live := w.denials.db
	plug := w.unplug()
	w.denials.db = w.db
	w.denials.flush()
	plug()
	w.denials.db = live
	if n := w.Stats().DenialsLost; n != 11 {
		t.Errorf("%d denials are lost after a flush that failed", n)
	}
}
