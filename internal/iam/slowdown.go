package iam

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A pace says how failures slow the next attempt down: the first free ones do
// not; from then on the wait begins at base and doubles up to most. Without a
// failure for the time forget, all is forgotten.
type pace struct {
	free   int
	base   time.Duration
	most   time.Duration
	forget time.Duration
}

// maxSlow bounds each table: twice as many entries at most.
const maxSlow = 8192

type failures struct {
	n    int
	last time.Time
}

// wait tells how long an attempt must still wait at now.
func (p pace) wait(f failures, now time.Time) time.Duration {
	over := f.n - p.free
	if over < 0 || now.Sub(f.last) >= p.forget {
		return 0
	}
	wait := p.most
	if over < 20 {
		wait = min(p.base<<over, p.most)
	}
	return max(0, wait-now.Sub(f.last))
}

// next counts one more failure.
func (p pace) next(f failures, now time.Time) failures {
	if now.Sub(f.last) >= p.forget {
		f.n = 0
	}
	return failures{n: min(f.n+1, 1<<20), last: now}
}

// attempt names a login attempt in the tables. Names are hashed, so that the
// tables are small whatever is tried; two names of one hash slow each other.
type attempt struct {
	user uint64
	addr netip.Addr
}

// A slowdown counts failed logins. It never counts or delays what does not
// need a password to be hashed.
type slowdown struct {
	perUser    pace // for one name tried from one address
	perAddress pace // for all names tried from one address, where an office may be behind

	seed  maphash.Seed
	mu    sync.Mutex // orders read and write of one entry
	users *cache[attempt, failures]
	addrs *cache[netip.Addr, failures]
}

func newSlowdown() *slowdown {
	return &slowdown{
		perUser:    pace{free: 5, base: time.Second, most: 5 * time.Minute, forget: 30 * time.Minute},
		perAddress: pace{free: 50, base: time.Second, most: time.Minute, forget: 10 * time.Minute},
		seed:       maphash.MakeSeed(),
		users:      newCache[attempt, failures](maxSlow),
		addrs:      newCache[netip.Addr, failures](maxSlow),
	}
}

func (s *slowdown) attempt(user, addr string) attempt {
	return attempt{user: maphash.String(s.seed, user), addr: parseAddr(addr)}
}

// parseAddr takes an address with or without a port. One customer has a whole
// IPv6 network of 64 bits, so that counts as one address. What is no address,
// such as a local socket, is the zero one.
func parseAddr(s string) netip.Addr {
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		addr = ap.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	return addr
}

// wait tells how long the attempt must wait; zero: it may be made.
func (s *slowdown) wait(at attempt, now time.Time) time.Duration {
	u, _ := s.users.get(at)
	a, _ := s.addrs.get(at.addr)
	return max(s.perUser.wait(u, now), s.perAddress.wait(a, now))
}

// failed counts a failure.
func (s *slowdown) failed(at attempt, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, _ := s.users.get(at)
	s.users.put(at, s.perUser.next(u, now))
	a, _ := s.addrs.get(at.addr)
	s.addrs.put(at.addr, s.perAddress.next(a, now))
}

// succeeded forgets the failures of this user from this address. Those of the
// address stay: whoever has one password must not try others' for free.
func (s *slowdown) succeeded(at attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users.drop(at)
}
