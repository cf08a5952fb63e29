package iam

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"berth.dev/berth/internal/fault"
)

func TestFailuresSlowDown(t *testing.T) {
	w := open(t)
	k := w.key(w.alice)
	token, err := w.Issue(t.Context(), w.alice, nil)
	w.must(err)
	login := func(user, password, addr string) error {
		w.freshen()
		_, err := w.Password(t.Context(), user, password, addr)
		return err
	}
	const addr = "192.0.2.1:4711"
	w.must(login("acme/alice", alicePassword, "198.51.100.7")) // verified before all this

	for range w.slow.perUser.free {
		w.want(login("acme/boss", "wrong password", addr), fault.Unauthorized)
	}
	// Now each failure doubles the wait, and attempts during it count nothing.
	wait := w.slow.perUser.base
	for range 12 {
		before := w.Stats().Hashes
		for range 3 {
			err := login("acme/boss", adminPassword, addr)
			w.want(err, fault.TooMany)
			var f *fault.Error
			if !errors.As(err, &f) || f.Detail != wait {
				t.Fatalf("the wait is %v, want %v", f.Detail, wait)
			}
		}
		if n := w.Stats().Hashes - before; n != 0 {
			t.Errorf("argon2 ran %d times for attempts that must wait", n)
		}
		w.clock.add(wait - time.Millisecond)
		w.want(login("acme/boss", adminPassword, addr), fault.TooMany)
		w.clock.add(time.Millisecond)
		w.want(login("acme/boss", "wrong password", addr), fault.Unauthorized)
		wait = min(2*wait, w.slow.perUser.most)
	}
	w.want(login("acme/boss", adminPassword, addr), fault.TooMany)

	// Nobody else is touched: other names from there, this one from elsewhere,
	// and whatever needs no password hashed.
	w.want(login("acme/alice", "wrong password", addr), fault.Unauthorized)
	w.want(login("acme/boss", adminPassword, "192.0.2.2:4711"), "")
	w.want(login("acme/boss", adminPassword, addr), "") // verified by now
	w.want(login("acme/alice", alicePassword, addr), "")
	w.want(login("region-1@"+k.Access, KeyPassword(k.Access, k.Secret), addr), "")
	_, err = w.Token(t.Context(), token.Value)
	w.want(err, "")
}

func TestSuccessForgetsTheUserOnly(t *testing.T) {
	w := open(t)
	login := func(password string) error {
		w.freshen()
		_, err := w.Password(t.Context(), "acme/boss", password, "192.0.2.1")
		return err
	}
	for range w.slow.perUser.free - 1 {
		w.want(login("wrong password"), fault.Unauthorized)
	}
	w.want(login(adminPassword), "")
	w.want(login("wrong password"), fault.Unauthorized)
	w.want(login("wrong password again"), fault.Unauthorized)

	at := w.slow.attempt("acme/boss", "192.0.2.1")
	f, _ := w.slow.addrs.get(at.addr)
	if f.n != w.slow.perUser.free+1 {
		t.Errorf("the address has %d failures", f.n)
	}
}

func TestAddressesSlowDown(t *testing.T) {
	w := open(t)
	login := func(i int, addr string) error {
		w.freshen()
		_, err := w.Password(t.Context(), fmt.Sprintf("acme/u%d", i), "some password", addr)
		return err
	}
	const addr = "[2001:db8:1:2::3]:99"
	for i := range w.slow.perAddress.free {
		w.want(login(i, addr), fault.Unauthorized)
	}
	w.want(login(999, addr), fault.TooMany)
	w.want(login(999, "2001:db8:1:2:ffff::1"), fault.TooMany) // the same customer
	w.want(login(999, "2001:db8:1:3::3"), fault.Unauthorized)
	w.clock.add(w.slow.perAddress.base)
	w.want(login(999, addr), fault.Unauthorized)
	w.want(login(998, addr), fault.TooMany)
	w.clock.add(w.slow.perAddress.forget)
	for i := range 2 {
		w.want(login(i, addr), fault.Unauthorized)
	}
}

func TestPace(t *testing.T) {
	p := pace{free: 2, base: time.Second, most: 8 * time.Second, forget: time.Hour}
	now := time.Now()
	var f failures
	for i, want := range []time.Duration{0, 0, 1, 2, 4, 8, 8, 8} {
		if got := p.wait(f, now); got != want*time.Second {
			t.Errorf("after %d failures the wait is %v, want %v s", i, got, want)
		}
		f = p.next(f, now)
	}
	for range 100 {
		f = p.next(f, now)
	}
	if got := p.wait(f, now); got != p.most {
		t.Errorf("after 108 failures the wait is %v", got)
	}
	if got := p.wait(f, now.Add(3*time.Second)); got != 5*time.Second {
		t.Errorf("three seconds later the wait is %v", got)
	}
	if got := p.wait(f, now.Add(p.forget)); got != 0 {
		t.Errorf("an hour later the wait is %v", got)
	}
	if f = p.next(f, now.Add(p.forget)); f.n != 1 {
		t.Errorf("an hour later the next failure is number %d", f.n)
	}
}

func TestSlowdownIsBounded(t *testing.T) {
	s := newSlowdown()
	now := time.Now()
	for i := range 5 * maxSlow {
		s.failed(s.attempt(fmt.Sprint("user", i), netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}).String()), now)
	}
	if u, a := s.users.len(), s.addrs.len(); u > 2*maxSlow || a > 2*maxSlow {
		t.Errorf("the tables have %d and %d entries", u, a)
	}
}

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":               "192.0.2.1",
		"192.0.2.1:80":            "192.0.2.1",
		"::ffff:192.0.2.1":        "192.0.2.1",
		"[::ffff:192.0.2.1]:80":   "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":    "2001:db8:1:2::",
		"[2001:db8:1:2:3::]:80":   "2001:db8:1:2::",
		"[2001:db8:1:2:3::]":      "2001:db8:1:2::",
		"fe80::1%eth0":            "fe80::",
		"[fe80::1:2:3:4%eth0]:80": "fe80::",
		"":                        "invalid IP",
		"@":                       "invalid IP",
		"host:80":                 "invalid IP",
	} {
		if got := parseAddr(in).String(); got != want {
			t.Errorf("parseAddr(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestCache(t *testing.T) {
	c := newCache[int, int](3)
	for i := range 100 {
		c.put(i, i)
		if c.len() > 6 {
			t.Fatalf("the cache has %d entries", c.len())
		}
		if v, ok := c.get(i); !ok || v != i {
			t.Fatalf("get(%d) = %d, %v", i, v, ok)
		}
		if v, ok := c.get(0); !ok || v != 0 { // what is asked for stays
			t.Fatalf("get(0) = %d, %v after %d", v, ok, i)
		}
	}
	if _, ok := c.get(50); ok {
		t.Error("what nobody asks for stays")
	}
	c.put(0, 7)
	if v, _ := c.get(0); v != 7 {
		t.Errorf("get(0) = %d", v)
	}
	c.drop(0)
	if _, ok := c.get(0); ok {
		t.Error("an entry was dropped and is there")
	}
	for i := range 7 { // an old entry that is replaced does not come back
		c.put(i%4, i)
	}
	if v, _ := c.get(2); v != 6 {
		t.Errorf("get(2) = %d", v)
	}
}
