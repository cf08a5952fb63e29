package iam

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"berth.dev/berth/internal/db"
)

// A repository is shared by rules, each with one target and a moment at which
// it ends. A caller may pull if a rule has as its target one of the names that
// the caller's account answers to. So a rule for an organization means accounts
// that come to it later as well, and no rule has to be looked at in detail.

// A Target is whom a rule means, as the table share spells it.
type Target string

// AccountTarget means the account with this id.
func AccountTarget(id string) Target { return Target("a:" + id) }

// NamedTarget means the account with this name, where there is none yet.
func NamedTarget(name string) Target { return Target("n:" + name) }

// OrgTarget means the accounts of the organization with this id.
func OrgTarget(id string) Target { return Target("o:" + id) }

// PathTarget means the accounts at this path of organizations and below it.
// Slashes at its ends do not count.
func PathTarget(path string) Target { return Target("p:" + strings.Trim(path, "/")) }

// A place is where an account stands: what rules can call it.
type place struct {
	ID, Name       string
	OrgID, OrgPath string
}

// maxLevels bounds how deep a path of organizations is looked at.
const maxLevels = 32

// targets are all that mean the account: its id, its name, its organization,
// its path and each path above.
func (p place) targets() []Target {
	out := []Target{AccountTarget(p.ID), NamedTarget(p.Name)}
	if p.OrgID != "" {
		out = append(out, OrgTarget(p.OrgID))
	}
	path := strings.Trim(p.OrgPath, "/")
	for i, n := 0, 0; i < len(path) && n < maxLevels; i++ {
		if path[i] == '/' {
			out = append(out, PathTarget(path[:i]))
			n++
		}
	}
	if path != "" {
		out = append(out, PathTarget(path))
	}
	return out
}

// Targets returns every target that means the account. No account, no targets.
func Targets(ctx context.Context, q db.Querier, account string) ([]Target, error) {
	p, err := db.One[place](ctx, q, `SELECT id, name, org_id, org_path FROM account WHERE id = $1`, account)
	if errors.Is(err, db.ErrNone) {
		return nil, nil
	}
	return p.targets(), err
}

// sharing names what is asked for: whether an account may pull from another's
// repository.
type sharing struct {
	account    string
	repository int64
}

// A cachedShare is true while neither account's epoch has changed: the owner's
// covers the rules, the caller's where the caller stands. That a rule ends at
// its deadline is no change; so the deadline is what is remembered.
type cachedShare struct {
	until         int64 // microseconds; 0: no rule
	owner, caller int64 // epochs
}

// maxShares bounds the cache: twice as many entries at most.
const maxShares = 8192

// readShare returns until when a repository is shared with an account, in
// microseconds.
func readShare(ctx context.Context, q db.Querier, about sharing) (int64, error) {
	targets, err := Targets(ctx, q, about.account)
	if err != nil || len(targets) == 0 {
		return 0, err
	}
	args := []any{about.repository}
	var in strings.Builder
	for i, t := range targets {
		if i > 0 {
			in.WriteString(", ")
		}
		in.WriteString("$" + strconv.Itoa(i+2))
		args = append(args, string(t))
	}
	return db.One[int64](ctx, q, `SELECT coalesce(max(expires), 0) FROM share WHERE repository = $1 AND target IN (`+in.String()+`)`, args...)
}

// sharedUntil is readShare through the cache.
func (a *Authority) sharedUntil(ctx context.Context, account string, on Resource) (int64, error) {
	about := sharing{account, on.Repository}
	fresh := a.Fresh()
	now := cachedShare{owner: a.epochs.of(on.Account), caller: a.epochs.of(account)}
	if fresh {
		if s, ok := a.shares.get(about); ok && s.owner == now.owner && s.caller == now.caller {
			return s.until, nil
		}
	}
	until, err := readShare(ctx, a.db, about)
	if err == nil && fresh {
		now.until = until
		a.shares.put(about, now)
	}
	return until, err
}

// sharedUntilIn is readShare inside a transaction. Where nothing that commits
// with it has raised an epoch of the two accounts, the cache says what the rows
// say.
func (a *Authority) sharedUntilIn(tx *db.Tx, account string, on Resource) (int64, error) {
	about := sharing{account, on.Repository}
	if tx.Settled(func(key any) bool {
		k, ok := key.(raised)
		return ok && (k.account == account || k.account == on.Account)
	}) {
		owner, caller := a.epochs.of(on.Account), a.epochs.of(account)
		if s, ok := a.shares.get(about); ok && s.owner == owner && s.caller == caller {
			return s.until, nil
		}
	}
	return readShare(tx.Context(), tx, about)
}

// across reports whether sharing could allow what rights did not: an action
// that it covers, on a repository of another account that has rules.
func across(d decision, r rule, who Caller, on Resource) bool {
	return d == denied && r.shared && on.Shared && who.User != "" && on.Account != "" && on.Account != who.Account
}
