package iam

import (
	"context"
	"fmt"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// Allow decides whether the caller may do this, from the rows as the
// transaction sees them, or from a cache that is known to say the same. It
// decides and nothing else. Errors: fault.Unauthorized for anonymous and
// disabled callers; fault.Denied with one sentence that says which right is
// missing where, the same for what does not exist and what belongs to another
// account.
func (a *Authority) Allow(tx *db.Tx, who Caller, do Action, on Resource) error {
	d, r, s, err := a.judge(who, do, on, tx.Now(), func(about ask) (*standing, error) { return a.standingIn(tx, who.Account, about) })
	if err == nil && across(d, r, who, on) {
		var until int64
		if until, err = a.sharedUntilIn(tx, who.Account, on); tx.Micros() < until {
			d = allowed
		}
	}
	if err == nil && d != allowed {
		err = a.refuse(tx.Context(), d, r, s, who, do, on)
	}
	return err
}

// Check is Allow for reads, through the cache: an answer is as old as the
// epochs of the account, and of the owner's where the repository is shared. It takes no SQL where the caller asked before.
func (a *Authority) Check(ctx context.Context, who Caller, do Action, on Resource) error {
	d, r, s, err := a.look(ctx, who, do, on)
	if err == nil && d != allowed {
		err = a.refuse(ctx, d, r, s, who, do, on)
	}
	return err
}

// May is Check for those who only want to know, such as a search over many
// repositories: a refusal is no error and does not stand in the audit.
func (a *Authority) May(ctx context.Context, who Caller, do Action, on Resource) (bool, error) {
	d, _, _, err := a.look(ctx, who, do, on)
	return err == nil && d == allowed, err
}

// look decides through the cache.
func (a *Authority) look(ctx context.Context, who Caller, do Action, on Resource) (decision, rule, *standing, error) {
	now := a.now()
	d, r, s, err := a.judge(who, do, on, now, func(about ask) (*standing, error) { return a.standing(ctx, who.Account, about) })
	if err == nil && across(d, r, who, on) {
		var until int64
		if until, err = a.sharedUntil(ctx, who.Account, on); now.UnixMicro() < until {
			d = allowed
		}
	}
	return d, r, s, err
}

// judge decides by what find knows of the caller. Where a right on the
// repository does not count it is not asked for, so that one answer serves all
// repositories of an organization; only a refusal speaks of it.
func (a *Authority) judge(who Caller, do Action, on Resource, now time.Time, find func(ask) (*standing, error)) (d decision, r rule, s *standing, err error) {
	r, about, err := question(who, do, on)
	if err != nil {
		return denied, r, nil, err
	}
	if about.user == "" {
		return decide(do, r, nil, who, on, now, a.o.UsersCreate), r, nil, nil
	}
	narrow := about
	if r.repo == None {
		narrow.repo = 0
	}
	if s, err = find(narrow); err != nil {
		return denied, r, s, err
	}
	d = decide(do, r, s, who, on, now, a.o.UsersCreate)
	if d != allowed && narrow != about {
		s, err = find(about)
	}
	return d, r, s, err
}

// question finds the rule of an action, and what must be known of the caller
// to apply it; without a user, nothing. Rights are asked for in the caller's
// own account only: nobody has any in another, but what is shared (share.go).
func question(who Caller, do Action, on Resource) (rule, ask, error) {
	r, ok := ruleOf(do)
	if !ok {
		return r, ask{}, fmt.Errorf("iam: there is no rule for the action %q", string(do))
	}
	if who.System() {
		return r, ask{}, nil
	}
	about := ask{user: who.User, key: who.Key}
	if on.Account == who.Account {
		about.org, about.repo = on.Organization, on.Repository
	}
	return r, about, nil
}

// A decision says yes, or which kind of no.
type decision uint8

const (
	denied  decision = iota
	allowed          //
	strange          // nobody is logged in, or the login is not good any more
	limited          // the credential is not meant for it
)

// decide is the whole of who may do what. It looks at its arguments only. The
// standing is needed for users.
func decide(do Action, r rule, s *standing, who Caller, on Resource, now time.Time, usersCreate bool) decision {
	if who.System() {
		return allowed
	}
	public := r.public && on.Public
	switch {
	case who.User == "" && public:
		return allowed
	case who.User == "" || !s.good(now) || s.Account != who.Account || who.version != 0 && who.version != s.Version:
		return strange // a token ends with the password, also between its check and this
	case public:
		return allowed
	case s.limits.limited() && !s.limits.permit(do, r, on):
		return limited
	case r.scope != onInstallation && on.Account != who.Account:
		return denied
	}
	ok := false
	switch r.scope {
	case onInstallation:
		ok = s.Admin && s.First || r.own && on.Account == who.Account
	case onAccount:
		ok = s.Admin || r.users && usersCreate
	case onUser:
		ok = s.Admin || on.User == who.User
	case inAccount:
		ok = on.Organization == 0 || r.org == None || s.Admin || enough(r, s.Org, s.Repo)
	case onContent:
		ok = s.Admin || enough(r, s.Org, s.Repo)
	}
	if ok {
		return allowed
	}
	return denied
}

func enough(r rule, org, repo Right) bool {
	return r.org != None && org >= r.org || r.repo != None && repo >= r.repo
}

// refuse turns a no into an error, and notes denials for the audit.
func (a *Authority) refuse(ctx context.Context, d decision, r rule, s *standing, who Caller, do Action, on Resource) error {
	if d == strange && who.Anonymous() {
		return fault.New(fault.Unauthorized, "Log in to %s.", phrase(r, on))
	}
	if d == strange {
		return fault.New(fault.Unauthorized, "This login is not valid any more.")
	}
	a.denials.add(ctx, who, do, on.Name)
	if d == limited {
		return fault.New(fault.Denied, "%s", s.limits.refusal(r, on))
	}
	return fault.New(fault.Denied, "%s", refusal(r, s, who, on))
}

// RightOn returns what the caller's rights are on the organization and on the
// repository, from rows: 7 everywhere for system callers and, in their own
// account, for administrators; none for the disabled and in other accounts.
func (a *Authority) RightOn(tx *db.Tx, who Caller, on Resource) (org, repo Right, err error) {
	switch {
	case who.System():
		return Manage, Manage, nil
	case who.Anonymous() || on.Account != who.Account:
		return None, None, nil
	}
	s, err := readStanding(tx.Context(), tx, ask{who.User, who.Key, on.Organization, on.Repository})
	switch {
	case err != nil || !s.good(tx.Now()) || s.Account != who.Account:
		return None, None, err
	case s.Admin:
		return Manage, Manage, nil
	}
	return s.Org, s.Repo, nil
}

// Administers reports whether the caller has every right in its account: an
// administrator of it, or a system caller.
func (a *Authority) Administers(ctx context.Context, who Caller) (bool, error) {
	if who.System() || who.Anonymous() {
		return who.System(), nil
	}
	s, err := a.standing(ctx, who.Account, ask{user: who.User, key: who.Key})
	return err == nil && s.good(a.now()) && s.Admin, err
}

// Limits returns those of the credential that the caller came by; the zero
// value for everybody else.
func (a *Authority) Limits(ctx context.Context, who Caller) (Limits, error) {
	if !isCredentialID(who.Key) {
		return Limits{}, nil
	}
	s, err := a.standing(ctx, who.Account, ask{user: who.User, key: who.Key})
	if err != nil || s.limits == nil {
		return Limits{}, err
	}
	return *s.limits, nil
}
