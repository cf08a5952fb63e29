package iam

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

func TestPasswordLogin(t *testing.T) {
	w := open(t)
	k := w.key(w.alice)
	hmac := KeyPassword(k.Access, k.Secret)
	byKey := w.alice
	byKey.Key = k.Access
	for _, c := range []struct {
		user, password string
		who            string
	}{
		{"admin", adminPassword, "admin/admin"},
		{"admin/admin", adminPassword, "admin/admin"},
		{"acme/alice", alicePassword, "acme/alice"},
		{"region-1@" + k.Access, hmac, "acme/alice@" + k.Access},
	} {
		for range 2 {
			who, err := w.Password(t.Context(), c.user, c.password, "192.0.2.1:5000")
			if err != nil || who.String() != c.who {
				t.Errorf("%s: %v, %v", c.user, who, err)
			}
		}
	}
	if who, _ := w.Password(t.Context(), "acme/alice", alicePassword, ""); who != w.alice {
		t.Errorf("caller is %#v", who)
	}
	if who, _ := w.Password(t.Context(), "region-1@"+k.Access, hmac, ""); who != byKey {
		t.Errorf("caller by key is %#v", who)
	}
}

// What `printf $AK | openssl dgst -sha256 -hmac $SK` says.
func TestKeyPassword(t *testing.T) {
	const want = "a5ab148f6c5804606a372927a34c72bd62175ddd7687a035e1e8200c37e1d9b7"
	if got := KeyPassword("AKEXAMPLE0000000001A", "SKexampleSKexampleSKexampleSKexample0001"); got != want {
		t.Errorf("KeyPassword = %s, want %s", got, want)
	}
}

// Every way to fail gives the same answer for the same work: one run of
// argon2, whatever is wrong.
func TestFailuresAreAlike(t *testing.T) {
	w := open(t)
	k, off := w.key(w.alice), w.key(w.alice)
	w.must(w.SetKeyEnabled(t.Context(), w.boss, off.Access, false))
	w.user("acme", "keysonly", "", false)
	w.user("acme", "gone", alicePassword, false)
	w.must(w.SetUserEnabled(t.Context(), w.boss, "", "gone", false))
	other := w.user("acme", "other", alicePassword, false)
	dead := w.key(other)
	w.must(w.SetUserEnabled(t.Context(), w.boss, "", "other", false))

	long := strings.Repeat("x", MaxPassword+1)
	for name, c := range map[string][2]string{
		"wrong password":              {"acme/alice", "wrong password"},
		"no password":                 {"acme/alice", ""},
		"long password":               {"acme/alice", long},
		"unknown user":                {"acme/nobody", alicePassword},
		"unknown account":             {"nowhere/alice", alicePassword},
		"user of another account":     {"alice", alicePassword},
		"disabled user":               {"acme/gone", alicePassword},
		"user without a password":     {"acme/keysonly", ""},
		"nobody":                      {"", ""},
		"long user":                   {strings.Repeat("x", maxUserPart+1), alicePassword},
		"two slashes":                 {"acme/alice/x", alicePassword},
		"not a name":                  {"acme/al ice", alicePassword},
		"SQL":                         {"acme/' OR ''='", alicePassword},
		"unknown key":                 {"region-1@AAAAAAAAAAAAAAAAAAAA", KeyPassword("AAAAAAAAAAAAAAAAAAAA", "x")},
		"key with a wrong password":   {"region-1@" + k.Access, KeyPassword(k.Access, off.Secret)},
		"key in upper-case hex":       {"region-1@" + k.Access, strings.ToUpper(KeyPassword(k.Access, k.Secret))},
		"key with its secret":         {"region-1@" + k.Access, k.Secret},
		"key with the user password":  {"region-1@" + k.Access, alicePassword},
		"key with an unknown project": {"region-2@" + k.Access, KeyPassword(k.Access, k.Secret)},
		"project with a NUL":          {"region-1\x00@" + k.Access, KeyPassword(k.Access, k.Secret)},
		"project that is no UTF-8":    {"region-1\xff@" + k.Access, KeyPassword(k.Access, k.Secret)},
		"key without a project":       {"@" + k.Access, KeyPassword(k.Access, k.Secret)},
		"disabled key":                {"region-1@" + off.Access, KeyPassword(off.Access, off.Secret)},
		"key of a disabled user":      {"region-1@" + dead.Access, KeyPassword(dead.Access, dead.Secret)},
		"key form, but a user":        {"region-1@alice", alicePassword},
	} {
		w.clock.add(time.Hour)
		w.freshen()
		before := w.Stats()
		who, err := w.Password(t.Context(), c[0], c[1], "192.0.2.1")
		after := w.Stats()
		if !who.Anonymous() || !fault.Is(err, fault.Unauthorized) || err.Error() != "unauthorized: The user name or the password is wrong." {
			t.Errorf("%s: %v, %v", name, who, err)
		}
		if n := after.Hashes - before.Hashes; n != 1 {
			t.Errorf("%s: argon2 ran %d times", name, n)
		}
		if n := after.Refused - before.Refused; n != 1 {
			t.Errorf("%s: counted %d times", name, n)
		}
	}
}

// What was verified once is not hashed again and takes no SQL.
func TestVerifiedLogins(t *testing.T) {
	w := open(t)
	k := w.key(w.alice)
	for _, c := range []struct {
		user, password string
		hashes         int64
	}{
		{"acme/alice", alicePassword, 1},
		{"region-1@" + k.Access, KeyPassword(k.Access, k.Secret), 0},
	} {
		login := func() {
			if _, err := w.Password(t.Context(), c.user, c.password, ""); err != nil {
				t.Error(err)
			}
		}
		before := w.Stats().Hashes
		login()
		if n := w.Stats().Hashes - before; n != c.hashes {
			t.Errorf("%s: the first login ran argon2 %d times", c.user, n)
		}
		before = w.Stats().Hashes
		w.quiet("a login again", login)
		if n := w.Stats().Hashes - before; n != 0 {
			t.Errorf("%s: logins again ran argon2 %d times", c.user, n)
		}
	}
	// The same letters parted elsewhere are another credential.
	one, again := w.prints.of("ab", "c"), w.prints.of("ab", "c")
	if one == w.prints.of("a", "bc") || one != again {
		t.Error("fingerprints do not tell credentials apart")
	}
	if w.prints.of("a", "b") == newFingerprints().of("a", "b") {
		t.Error("fingerprints do not depend on the process")
	}
}

func TestPasswordVersions(t *testing.T) {
	w := open(t)
	login := func(password string) error {
		_, err := w.Password(t.Context(), "acme/alice", password, "")
		return err
	}
	w.want(login(alicePassword), "")
	w.must(w.SetPassword(t.Context(), w.alice, "", "alice", "the second one"))
	w.want(login(alicePassword), fault.Unauthorized)
	w.want(login("the second one"), "")
	w.must(w.SetPassword(t.Context(), w.alice, "", "alice", ""))
	w.want(login("the second one"), fault.Unauthorized)
	w.want(login(""), fault.Unauthorized)
}

func TestLoginsAtOnceShareOneRun(t *testing.T) {
	w := open(t)
	// Hold every core, so that all are there before the first is answered.
	for range cap(w.hasher.cores) {
		w.hasher.cores <- struct{}{}
	}
	before := w.Stats().Hashes
	var all sync.WaitGroup
	const n = 20
	for range n {
		all.Go(func() {
			if who, err := w.Password(t.Context(), "acme/alice", alicePassword, ""); err != nil || who != w.alice {
				t.Errorf("%v, %v", who, err)
			}
		})
	}
	waitFor(t, func() bool { return w.Stats().Waiting == 1 })
	// One whose client goes away does not end the run of the others.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Password(ctx, "acme/alice", alicePassword, ""); err == nil {
		t.Error("a login whose client is gone went on")
	}
	for range cap(w.hasher.cores) {
		<-w.hasher.cores
	}
	all.Wait()
	if got := w.Stats().Hashes - before; got != 1 && got != 2 { // a late one may find neither the run nor the cache
		t.Errorf("argon2 ran %d times for %d logins at once", got, n)
	}
}

func waitFor(t testing.TB, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within ten seconds")
		}
	}
}

func TestHashQueueIsBounded(t *testing.T) {
	w := open(t)
	if _, err := w.Password(t.Context(), "acme/alice", alicePassword, ""); err != nil {
		t.Fatal(err)
	}
	k := w.key(w.alice)
	for range cap(w.hasher.cores) {
		w.hasher.cores <- struct{}{}
	}
	var all sync.WaitGroup
	for i := range hashQueue {
		all.Go(func() {
			_, err := w.Password(t.Context(), fmt.Sprintf("acme/u%d", i), "some password", fmt.Sprintf("192.0.2.%d", i))
			w.want(err, fault.Unauthorized)
		})
	}
	waitFor(t, func() bool { return w.Stats().Waiting == hashQueue })
	_, err := w.Password(t.Context(), "acme/boss", adminPassword, "198.51.100.1")
	w.want(err, fault.TooMany)
	// Neither who was verified before nor a key waits for a core.
	_, err = w.Password(t.Context(), "acme/alice", alicePassword, "")
	w.want(err, "")
	_, err = w.Password(t.Context(), "region-1@"+k.Access, KeyPassword(k.Access, k.Secret), "")
	w.want(err, "")
	for range cap(w.hasher.cores) {
		<-w.hasher.cores
	}
	all.Wait()
	_, err = w.Password(t.Context(), "acme/boss", adminPassword, "198.51.100.1")
	w.want(err, "")
}

func TestHashes(t *testing.T) {
	h := newHasher(cheap)
	phc, err := h.hash(t.Context(), "password")
	if err != nil || !strings.HasPrefix(phc, "$argon2id$v=19$m=8,t=1,p=1$") {
		t.Fatalf("hash = %s, %v", phc, err)
	}
	again, _ := h.hash(t.Context(), "password")
	if phc == again {
		t.Error("two hashes of one password are equal")
	}
	for password, want := range map[string]bool{"password": true, "passwor": false, "": false, "Password": false} {
		if ok, err := h.verify(t.Context(), phc, password); err != nil || ok != want {
			t.Errorf("verify(%q) = %v, %v", password, ok, err)
		}
	}
	// As another implementation wrote it (the reference's test vector for
	// "password", salt "somesalt").
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := h.verify(t.Context(), reference, "password"); err != nil || !ok {
		t.Errorf("the reference vector: %v, %v", ok, err)
	}
	if cost, _, _, err := parsePHC(newHasher(Argon{}).dummy); err != nil || cost != (Argon{Memory: 19 << 10, Passes: 2}) {
		t.Errorf("the default cost is %+v, %v", cost, err)
	}
	for _, bad := range []string{
		"password", "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=99999999,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=8,t=1,p=1x$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=8,t=1,p=1$$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$", "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ",
	} {
		if ok, err := h.verify(t.Context(), bad, "password"); err == nil || ok {
			t.Errorf("verify(%q) = %v, %v", bad, ok, err)
		}
	}
}

// A hash that cannot be read is an outage, not a wrong password.
func TestBrokenHash(t *testing.T) {
	w := open(t)
	w.must(w.update(func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE iam_user SET password = 'x' WHERE id = $1`, w.alice.User)
		return err
	}))
	_, err := w.Password(t.Context(), "acme/alice", alicePassword, "")
	w.want(err, fault.Internal)
	plug := w.unplug()
	_, err = w.Password(t.Context(), "acme/boss", adminPassword, "")
	plug()
	if err == nil || fault.Is(err, fault.Unauthorized) {
		t.Errorf("without a database: %v", err)
	}
}

func TestParseLogin(t *testing.T) {
	const ak = "ABCDEFGHIJ0123456789"
	for in, want := range map[string]login{
		"alice":                             {user: "alice"},
		"acme/alice":                        {account: "acme", user: "alice"},
		"north-1@" + ak:                     {project: "north-1", key: ak},
		"a@b@" + ak:                         {},
		"acme/alice@" + ak:                  {},
		"north\x00@" + ak:                   {},
		"north\xff@" + ak:                   {},
		"":                                  {},
		"/":                                 {},
		"acme/":                             {},
		"/alice":                            {},
		"a/b/c":                             {},
		"@" + ak:                            {},
		"@":                                 {},
		"north-1@abcdefghij0123456789":      {},
		"north-1@" + ak + "0":               {},
		"alice@example.com":                 {},
		"al ice":                            {},
		"-alice":                            {},
		"ålice":                             {},
		strings.Repeat("a", 64):             {user: strings.Repeat("a", 64)},
		strings.Repeat("a", 65):             {},
		strings.Repeat("p", 300) + "@" + ak: {},
	} {
		if diff := cmp.Diff(want, parseLogin(in), cmp.AllowUnexported(login{})); diff != "" {
			t.Errorf("parseLogin(%q): %s", in, diff)
		}
	}
}

func FuzzParseLogin(f *testing.F) {
	for _, s := range []string{"alice", "acme/alice", "north-1@ABCDEFGHIJ0123456789", "a/b@c", "@", "/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := parseLogin(s)
		switch {
		case l == login{}:
		case l.key != "":
			if l.user != "" || l.account != "" || !isName(l.project) || !isAccess(l.key) || l.project+"@"+l.key != s {
				t.Errorf("parseLogin(%q) = %+v", s, l)
			}
		case l.account != "":
			if !isName(l.account) || !isName(l.user) || l.account+"/"+l.user != s {
				t.Errorf("parseLogin(%q) = %+v", s, l)
			}
		default:
			if !isName(l.user) || l.user != s || l.project != "" {
				t.Errorf("parseLogin(%q) = %+v", s, l)
			}
		}
	})
}

func FuzzParsePHC(f *testing.F) {
	f.Add(newHasher(cheap).dummy)
	f.Add("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Fuzz(func(t *testing.T, s string) {
		cost, salt, sum, err := parsePHC(s)
		if err == nil && phc(cost, salt, sum) != s {
			t.Errorf("parsePHC(%q) reads it as %q", s, phc(cost, salt, sum))
		}
	})
}

func TestLogHoldsNoSecrets(t *testing.T) {
	var log bytes.Buffer
	w := open(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	k := w.key(w.alice)
	secrets := []string{"a wrong password", "typed-as-name", alicePassword, adminPassword, k.Secret, KeyPassword(k.Access, k.Secret)}
	for _, c := range [][2]string{
		{"acme/alice", "a wrong password"}, {"typed-as-name", "x"}, {"acme/alice", alicePassword},
		{"region-2@" + k.Access, KeyPassword(k.Access, k.Secret)}, {"region-1@" + k.Access, k.Secret},
	} {
		_, _ = w.Password(t.Context(), c[0], c[1], "192.0.2.1:5000")
	}
	tok, err := w.Issue(t.Context(), w.alice, nil)
	w.must(err)
	_, _ = w.Token(t.Context(), tok.Value+"x")
	w.must(w.Close())
	if !strings.Contains(log.String(), "192.0.2.1") {
		t.Errorf("refused logins are not in the log: %s", log.String())
	}
	for _, s := range append(secrets, tok.Value) {
		if strings.Contains(log.String(), s) {
			t.Errorf("%q is in the log", s)
		}
	}
}
