package event_test

import (
	"sync/atomic"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/db/dbtest"
	"berth.dev/berth/internal/event"
)

// Kinds have names, and numbers that are stored: they must not change.
func TestKinds(t *testing.T) {
	for name, k := range map[string]event.Kind{"push": 1, "delete": 2, "pull": 4, "retention": 8, "sync": 16, "trigger": 32} {
		if k.String() != name {
			t.Errorf("%d is %q, want %q", k, k, name)
		}
		if got, ok := event.ParseKind(name); !ok || got != k {
			t.Errorf("%q is %d, want %d", name, got, k)
		}
	}
	if s := (event.Push | event.Sync).String(); s != "push+sync" {
		t.Errorf("a set is %q", s)
	}
	if _, ok := event.ParseKind("push+sync"); ok {
		t.Error("a set was read as a kind")
	}
	if event.All != 63 {
		t.Errorf("all are %d", event.All)
	}
}

// What is emitted is there in its order until it is forgotten.
func TestOutbox(t *testing.T) {
	d := dbtest.Open(t)
	for _, tag := range []string{"v1", "v2"} {
		if _, err := db.Update(t.Context(), d, func(tx *db.Tx) (struct{}, error) {
			return struct{}{}, event.Emit(tx, event.Event{Kind: event.Push, Account: "a", Organization: 1, Repository: 2, Path: "acme/app",
				Tag: tag, Digest: "sha256:x", Actor: "a/u", Detail: `{"cause":"push"}`})
		}); err != nil {
			t.Fatal(err)
		}
	}
	pending := func(forget bool) []event.Event {
		t.Helper()
		events, err := db.Update(t.Context(), d, func(tx *db.Tx) ([]event.Event, error) {
			events, err := event.Pending(tx, 10)
			if err != nil || !forget {
				return events, err
			}
			return events, event.Forget(tx, events[0].ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	got := pending(true)
	if len(got) != 2 || got[0].Tag != "v1" || got[1].Tag != "v2" {
		t.Fatalf("%+v", got)
	}
	e := got[0]
	if e.Created == 0 || e.Kind != event.Push || e.Account != "a" || e.Organization != 1 || e.Repository != 2 || e.Path != "acme/app" ||
		e.Digest != "sha256:x" || e.Actor != "a/u" || e.Detail != `{"cause":"push"}` {
		t.Fatalf("%+v", e)
	}
	if got := pending(false); len(got) != 1 || got[0].Tag != "v2" {
		t.Fatalf("after one was forgotten: %+v", got)
	}
}

// Two nodes take events one behind the other: none gets the newer while the
// older is still being looked at.
func TestOneAtATime(t *testing.T) {
	d := dbtest.Open(t, func(o *db.Options) { o.Twice = false })
	for _, tag := range []string{"older", "newer"} {
		if _, err := db.Update(t.Context(), d, func(tx *db.Tx) (struct{}, error) {
			return struct{}{}, event.Emit(tx, event.Event{Kind: event.Push, Repository: 1, Tag: tag})
		}); err != nil {
			t.Fatal(err)
		}
	}
	var ended atomic.Bool
	take := func(while func()) (tag string, err error) {
		return db.Update(t.Context(), d, func(tx *db.Tx) (string, error) {
			events, err := event.Pending(tx, 1)
			if err != nil || len(events) == 0 {
				return "", err
			}
			while()
			return events[0].Tag, event.Forget(tx, events[0].ID)
		})
	}
	begun, other := make(chan struct{}), make(chan error, 1)
	go func() {
		tag, err := take(func() {
			close(begun)
			time.Sleep(300 * time.Millisecond)
			ended.Store(true)
		})
		if err == nil && tag != "older" {
			t.Errorf("the first takes %q", tag)
		}
		other <- err
	}()
	<-begun
	tag, err := take(func() {
		if !ended.Load() {
			t.Error("the newer one was given out beside the older")
		}
	})
	if err != nil || tag != "newer" {
		t.Errorf("the second takes %q, %v", tag, err)
	}
	if err := <-other; err != nil {
		t.Fatal(err)
	}
}
