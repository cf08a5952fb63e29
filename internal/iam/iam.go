// Package iam knows who calls and what they may do: accounts, their users,
// projects and access keys; logins and tokens; rights on organizations and
// repositories; the audit; and the secrets that all of these need.
//
// It knows no HTTP and, of organizations and repositories, only their ids.
package iam

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"berth.dev/berth/internal/db"
)

// Options are the rules an operator can change. Only Master has no default.
type Options struct {
	Master       []byte        // master key, MasterKeySize bytes, the same on every node
	Region       string        // name of the project that each account begins with; default region-1
	TokenLife    time.Duration // of registry tokens; default 1 h
	APITokenLife time.Duration // of tokens of the management API; default 24 h
	RefuseReplay bool          // a signature that changes something counts once
	UsersCreate  bool          // every user may create organizations, not administrators only

	CredentialMaxLife   time.Duration // of access credentials that expire; default a year
	CredentialUnlimited bool          // some may never expire

	Argon Argon            // cost of password hashes; default 19 MiB, 2 passes
	Log   *slog.Logger     // default: discards
	Now   func() time.Time // default time.Now
}

// Authority answers who calls and what they may do. It is safe for concurrent
// use; Close ends it.
type Authority struct {
	db   *db.DB
	o    Options
	log  *slog.Logger
	now  func() time.Time
	seal *seal

	start  time.Time
	exact  bool // this process is the only writer
	epochs epochs
	polled atomic.Int64 // when the last successful poll began, since start

	ring   atomic.Pointer[ring]
	ringMu sync.Mutex // held while loading
	settle time.Duration

	standings *cache[ask, *cachedStanding]
	verified  *cache[fingerprint, verified]
	tokens    *cache[string, *parsed]
	shares    *cache[sharing, cachedShare]
	revoked   *cache[string, revocation] // by token
	projects  *cache[string, string]     // owner by project

	prints  *fingerprints
	hasher  *hasher
	flights singleflight.Group
	slow    *slowdown
	refused atomic.Int64
	uses    *uses
	denials *denials

	stop context.CancelFunc
	done sync.WaitGroup
}

// New checks the master key against the database, or begins the database with
// it, loads the signing keys, or makes the first, and starts the writer of
// denials and, on PostgreSQL, the poll of what other nodes change.
//
// Errors: ErrOtherMaster and ErrNotBegun tell that the database holds nothing
// sealed under o.Master; after any other one it may.
func New(ctx context.Context, d *db.DB, o Options) (*Authority, error) {
	if o.Region == "" {
		o.Region = "region-1"
	}
	if !isName(o.Region) {
		return nil, notBegun{errors.New("iam: the region has to be a name: " + nameRule)}
	}
	if o.TokenLife == 0 {
		o.TokenLife = defaultTokenLife
	}
	if o.TokenLife < time.Second {
		return nil, notBegun{errors.New("iam: the life of tokens is less than a second")}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s, err := newSeal(o.Master)
	if err != nil {
		return nil, notBegun{err}
	}
	o.Master = nil
	o.TokenLife = o.TokenLife.Truncate(time.Second)
	if o.APITokenLife == 0 {
		o.APITokenLife = defaultAPITokenLife
	}
	if o.CredentialMaxLife == 0 {
		o.CredentialMaxLife = defaultCredentialMax
	}
	if o.APITokenLife < time.Second {
		return nil, notBegun{errors.New("iam: the life of tokens of the management API is less than a second")}
	}
	a := &Authority{
		db: d, o: o, log: o.Log, now: o.Now, seal: s,
		start: o.Now(), exact: d.Exact(), epochs: epochs{n: make(map[string]int64)},
		standings: newCache[ask, *cachedStanding](maxStandings),
		verified:  newCache[fingerprint, verified](maxVerified),
		tokens:    newCache[string, *parsed](maxTokens),
		shares:    newCache[sharing, cachedShare](maxShares),
		revoked:   newCache[string, revocation](maxRevoked),
		projects:  newCache[string, string](maxProjects),
		prints:    newFingerprints(), hasher: newHasher(o.Argon), slow: newSlowdown(),
		denials: newDenials(d, o.Log), uses: newUses(),
	}
	if !a.exact {
		a.settle = settle
	}
	if err := a.begin(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authority) begin(ctx context.Context) error {
	if err := a.checkMaster(ctx); err != nil {
		return err
	}
	if err := a.firstSigningKey(ctx); err != nil {
		return err
	}
	a.db.OnInvalidate(a.invalidate)
	// Epochs first: what the ring misses then comes with the next poll.
	if err := a.poll(ctx); err != nil {
		return err
	}
	if a.ring.Load() == nil {
		if err := a.loadRing(ctx); err != nil {
			return err
		}
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = stop
	a.done.Go(func() { a.denials.run(run) })
	a.done.Go(func() { a.sweep(run) })
	a.done.Go(func() { a.keepUses(run) })
	if !a.exact {
		a.done.Go(func() { a.keepFresh(run) })
	}
	return nil
}

// Close writes the denials and uses that wait and ends all work in the background. The
// database stays open. It may be called again.
func (a *Authority) Close() error {
	a.stop()
	a.done.Wait()
	return nil
}

// Stats are counters since the start, for metrics; Waiting and the caches are
// as of now.
type Stats struct {
	Hashes         int64 // runs of argon2id
	Waiting        int64 // logins that wait for a core
	Refused        int64 // logins that were wrong
	DenialsLost    int64 // denials that are missing in the audit
	Standings      int   // entries of the cache of rights
	Tokens         int   // entries of the cache of tokens
	VerifiedLogins int   // entries of the cache of logins
}

// Stats returns the counters.
func (a *Authority) Stats() Stats {
	return Stats{
		Hashes: a.hasher.runs.Load(), Waiting: a.hasher.waiting.Load(), Refused: a.refused.Load(),
		DenialsLost: a.denials.lost(), Standings: a.standings.len(), Tokens: a.tokens.len(), VerifiedLogins: a.verified.len(),
	}
}
