package iam

import (
	"testing"

	"berth.dev/berth/internal/db"
)

// benchmark runs op on warm caches: it takes no SQL, and the allocations that
// are reported are those of every request.
func benchmark(b *testing.B, op func(w *world, on Resource) func() error) {
	w := open(b)
	on := w.repo(w.org(w.acme.ID, "team"), "app", false)
	w.give(w.alice, on, Read, None)
	run := op(w, on)
	if err := run(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := run(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkToken(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		t, err := w.Issue(b.Context(), w.alice, pullPush(on.Name))
		w.must(err)
		return func() error {
			_, err := w.Token(b.Context(), t.Value)
			return err
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		return func() error { return w.Check(b.Context(), w.alice, Pull, on) }
	})
}

func BenchmarkCheckPublic(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		on.Public = true
		return func() error { return w.Check(b.Context(), Caller{}, Pull, on) }
	})
}

func BenchmarkPassword(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		return func() error {
			_, err := w.Password(b.Context(), "acme/alice", alicePassword, "192.0.2.1:5000")
			return err
		}
	})
}

func BenchmarkKey(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		k := w.key(w.alice)
		user, password := "region-1@"+k.Access, KeyPassword(k.Access, k.Secret)
		return func() error {
			_, err := w.Password(b.Context(), user, password, "192.0.2.1:5000")
			return err
		}
	})
}

func BenchmarkCredential(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		c := w.credential(w.alice, NewCredential{Limits: Limits{Only: PullOnly, In: []string{"team"}}})
		return func() error {
			who, err := w.Password(b.Context(), "any", c.Secret, "192.0.2.1:5000")
			if err != nil {
				return err
			}
			return w.Check(b.Context(), who, Pull, on)
		}
	})
}

func BenchmarkCredentialToken(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		who, err := w.bearer(w.credential(w.alice, NewCredential{}))
		w.must(err)
		t, err := w.Issue(b.Context(), who, pullPush(on.Name))
		w.must(err)
		return func() error {
			_, err := w.Token(b.Context(), t.Value)
			return err
		}
	})
}

func BenchmarkPermits(b *testing.B) {
	g := Grant{Access: pullPush("team/app")}
	b.ReportAllocs()
	for b.Loop() {
		if !g.Permits("repository", "team/app", "push") {
			b.Fatal("not permitted")
		}
	}
}

func BenchmarkIssue(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		access := pullPush(on.Name)
		return func() error {
			_, err := w.Issue(b.Context(), w.alice, access)
			return err
		}
	})
}

// BenchmarkVerifyToken is a token that was not seen before.
func BenchmarkVerifyToken(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		t, err := w.Issue(b.Context(), w.alice, pullPush(on.Name))
		w.must(err)
		return func() error {
			_, err := parseToken(w.ring.Load(), t.Value)
			return err
		}
	})
}

func BenchmarkSignVerify(b *testing.B) {
	benchmark(b, func(w *world, on Resource) func() error {
		payload := make([]byte, 40)
		return func() error {
			_, err := w.Verify("upload", w.Sign("upload", payload))
			return err
		}
	})
}

func BenchmarkAllow(b *testing.B) {
	w := open(b)
	on := w.repo(w.org(w.acme.ID, "team"), "app", false)
	w.give(w.alice, on, Edit, None)
	b.ReportAllocs()
	w.must(w.update(func(tx *db.Tx) error {
		for b.Loop() {
			if err := w.Allow(tx, w.alice, Push, on); err != nil {
				return err
			}
		}
		return nil
	}))
}

// The warm paths of each request are held to their allocations, since seconds
// are noisy.
func TestWarmPathsDoNotAllocate(t *testing.T) {
	w := open(t)
	on := w.repo(w.org(w.acme.ID, "team"), "app", false)
	w.give(w.alice, on, Read, None)
	tok, err := w.Issue(t.Context(), w.alice, pullPush(on.Name))
	w.must(err)
	k := w.key(w.alice)
	user, password := "region-1@"+k.Access, KeyPassword(k.Access, k.Secret)
	ctx := t.Context()
	for name, op := range map[string]func() error{
		"Token":    func() error { _, err := w.Token(ctx, tok.Value); return err },
		"Check":    func() error { return w.Check(ctx, w.alice, Pull, on) },
		"public":   func() error { on := on; on.Public = true; return w.Check(ctx, Caller{}, Pull, on) },
		"Password": func() error { _, err := w.Password(ctx, "acme/alice", alicePassword, "192.0.2.1:5000"); return err },
		"key":      func() error { _, err := w.Password(ctx, user, password, "192.0.2.1:5000"); return err },
	} {
		w.must(op())
		// The least of many runs: a pool may be emptied at any moment.
		least := testing.AllocsPerRun(1, func() { w.must(op()) })
		for range 50 {
			least = min(least, testing.AllocsPerRun(1, func() { w.must(op()) }))
		}
		if least > 0 {
			t.Errorf("%s allocates %v times", name, least)
		}
		w.quiet(name, func() { w.must(op()) })
	}
}

// BenchmarkHash is what a first login costs, at the default setting.
func BenchmarkHash(b *testing.B) {
	h := newHasher(Argon{})
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := h.verify(b.Context(), "", "some password"); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
