package iam

import (
	"slices"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

func TestTargets(t *testing.T) {
	deep := strings.Repeat("x/", 100) + "x"
	for _, tt := range []struct {
		p    place
		want []Target
	}{
		{place{ID: "1", Name: "acme"}, []Target{"a:1", "n:acme"}},
		{place{ID: "1", Name: "acme", OrgID: "o-1"}, []Target{"a:1", "n:acme", "o:o-1"}},
		{place{ID: "1", Name: "acme", OrgPath: "root"}, []Target{"a:1", "n:acme", "p:root"}},
		{place{ID: "1", Name: "acme", OrgPath: "/root/dev/team/"}, []Target{"a:1", "n:acme", "p:root", "p:root/dev", "p:root/dev/team"}},
		{place{ID: "1", Name: "acme", OrgPath: "///"}, []Target{"a:1", "n:acme"}},
	} {
		if got := tt.p.targets(); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.p, got, tt.want)
		}
	}
	if got := (place{OrgPath: deep}).targets(); len(got) != 2+maxLevels+1 || got[len(got)-1] != PathTarget(deep) {
		t.Errorf("a path of 101 levels has %d targets", len(got))
	}
	// At a border alone: a longer name beside it is another path.
	matches := func(rule, account string) bool {
		return slices.Contains(place{OrgPath: account}.targets(), PathTarget(rule))
	}
	for _, tt := range []struct {
		rule, account string
		want          bool
	}{
		{"root/dev", "root/dev", true}, {"root/dev/", "/root/dev/team", true}, {"root", "root/dev/team", true},
		{"root/dev", "root/development", false}, {"root/dev/team", "root/dev", false}, {"dev", "root/dev", false}, {"root", "", false},
	} {
		if got := matches(tt.rule, tt.account); got != tt.want {
			t.Errorf("the rule for %s and the account at %s: %v", tt.rule, tt.account, got)
		}
	}
}

// share adds a rule as a registry does.
func (w *world) share(on Resource, target Target, until int64) {
	w.t.Helper()
	w.must(w.update(func(tx *db.Tx) error {
		if _, err := tx.Exec(`INSERT INTO share (repository, target, kind, name, account, deadline, expires, description, creator, creator_name, created, updated)
			VALUES ($1, $2, '', '', '', '', $3, '', '', '', 0, 0)`, on.Repository, string(target), until); err != nil {
			return err
		}
		return w.Raise(tx, on.Account)
	}))
}

// sql runs a statement and ends what is cached of an account.
func (w *world) sql(account, text string, args ...any) {
	w.t.Helper()
	w.must(w.update(func(tx *db.Tx) error {
		if _, err := tx.Exec(text, args...); err != nil {
			return err
		}
		return w.Raise(tx, account)
	}))
}

const forever = int64(1) << 62

// shared makes a repository that may have rules.
func (w *world) shared(on Resource, name string) Resource {
	w.t.Helper()
	on = w.repo(on, name, false)
	on.Shared = true
	return on
}

func TestSharedRepository(t *testing.T) {
	w := open(t)
	other, err := w.CreateAccount(t.Context(), Operator(), "other")
	w.must(err)
	guest, boss := w.user("other", "guest", "", false), w.user("other", "chief", "", true)
	org := w.org(w.acme.ID, "team")
	app, lib := w.shared(org, "app"), w.shared(org, "lib")
	absent := org
	absent.Name = "team/none"

	w.want(w.allow(guest, Pull, app), fault.Denied)
	w.share(app, AccountTarget(other.ID), forever)
	for _, who := range []Caller{guest, boss} {
		w.want(w.allow(who, Pull, app), "")
		w.want(w.allow(who, Pull, lib), fault.Denied)
		w.want(w.allow(who, Pull, absent), fault.Denied)
		for do := range rules { // nothing but pulling
			r := rules[do]
			if do == Pull || r.scope == inAccount && r.org == None || r.scope == onUser {
				continue
			}
			w.want(w.allow(who, do, app), fault.Denied)
		}
	}
	w.want(w.allow(Caller{}, Pull, app), fault.Unauthorized)
	w.want(w.allow(w.alice, Pull, app), fault.Denied) // shares are for others
	w.must(w.SetUserEnabled(t.Context(), Operator(), "other", "guest", false))
	w.want(w.allow(guest, Pull, app), fault.Unauthorized)
	w.must(w.SetUserEnabled(t.Context(), Operator(), "other", "guest", true))
	w.want(w.allow(guest, Pull, app), "")
	w.quiet("a pull that was asked for before", func() { w.want(w.Check(t.Context(), guest, Pull, app), "") })

	w.sql(w.acme.ID, `DELETE FROM share`)
	w.want(w.allow(guest, Pull, app), fault.Denied)
	w.share(app, NamedTarget("other"), forever)
	w.want(w.allow(guest, Pull, app), "")
	w.sql(w.acme.ID, `DELETE FROM share`)

	// Where the account stands is a matter of its own epoch.
	w.share(app, OrgTarget("o-1"), forever)
	w.share(lib, PathTarget("root/dev"), forever)
	w.want(w.allow(guest, Pull, app), fault.Denied)
	w.sql(other.ID, `UPDATE account SET org_id = 'o-1', org_path = 'root/dev/team' WHERE id = $1`, other.ID)
	w.want(w.allow(guest, Pull, app), "")
	w.want(w.allow(guest, Pull, lib), "")
	w.sql(other.ID, `UPDATE account SET org_id = 'o-2', org_path = 'root/devil' WHERE id = $1`, other.ID)
	w.want(w.allow(guest, Pull, app), fault.Denied)
	w.want(w.allow(guest, Pull, lib), fault.Denied)
}

// A deadline ends a share at its moment, though nothing changes at that.
func TestShareEnds(t *testing.T) {
	w := open(t)
	other, err := w.CreateAccount(t.Context(), Operator(), "other")
	w.must(err)
	guest := w.user("other", "guest", "", false)
	app := w.shared(w.org(w.acme.ID, "team"), "app")
	end := w.clock.now().Add(time.Hour)
	w.share(app, AccountTarget(other.ID), end.UnixMicro())
	w.share(app, NamedTarget("other"), end.Add(-time.Minute).UnixMicro()) // the later one counts
	w.want(w.allow(guest, Pull, app), "")
	w.clock.add(time.Hour - time.Microsecond)
	w.freshen()
	w.want(w.allow(guest, Pull, app), "")
	w.clock.add(time.Microsecond)
	w.want(w.Check(t.Context(), guest, Pull, app), fault.Denied)
	w.want(w.allow(guest, Pull, app), fault.Denied)
}

// Callers of the own account, of public repositories, and of those that nobody
// shares take no statement more.
func TestSharingCostsOthersNothing(t *testing.T) {
	w := open(t)
	_, err := w.CreateAccount(t.Context(), Operator(), "other")
	w.must(err)
	guest := w.user("other", "guest", "", false)
	org := w.org(w.acme.ID, "team")
	own, public, private := w.shared(org, "app"), w.shared(org, "public"), w.repo(org, "private", false)
	public.Public = true
	w.give(w.alice, own, Read, None)
	for _, c := range []struct {
		who  Caller
		on   Resource
		code fault.Code
	}{{w.alice, own, ""}, {w.alice, public, ""}, {guest, public, ""}, {guest, private, fault.Denied}} {
		before := w.shares.len()
		w.want(w.allow(c.who, Pull, c.on), c.code)
		if w.shares.len() != before {
			t.Errorf("%v on %s: shares were asked for", c.who, c.on.Name)
		}
	}
}

// Another node learns of a share, of its end, and of a caller's new place.
func TestShareOnOtherNodes(t *testing.T) {
	w := open(t)
	other, err := w.CreateAccount(t.Context(), Operator(), "other")
	w.must(err)
	guest := w.user("other", "guest", "", false)
	app := w.shared(w.org(w.acme.ID, "team"), "app")
	w.must(w.Close()) // no poll but those below
	w.exact = false
	w.must(w.poll(t.Context()))
	check := func(code fault.Code) {
		t.Helper()
		w.want(w.Check(t.Context(), guest, Pull, app), code)
	}
	w.must(w.update(func(tx *db.Tx) error { return w.Raise(tx, w.acme.ID, other.ID) })) // both have a row
	check(fault.Denied)
	w.remote(w.acme.ID, `INSERT INTO share (repository, target, kind, name, account, deadline, expires, description, creator, creator_name, created, updated)
		VALUES ($1, 'p:root', '', '', '', '', $2, '', '', '', 0, 0)`, app.Repository, forever)
	w.remote(other.ID, `UPDATE account SET org_path = 'root/x' WHERE id = $1`, other.ID)
	check(fault.Denied) // not known yet
	w.must(w.poll(t.Context()))
	check("")
	w.remote(other.ID, `UPDATE account SET org_path = '' WHERE id = $1`, other.ID)
	w.must(w.poll(t.Context()))
	check(fault.Denied)
	w.remote(other.ID, `UPDATE account SET org_path = 'root' WHERE id = $1`, other.ID)
	w.must(w.poll(t.Context()))
	check("")
	w.remote(w.acme.ID, `DELETE FROM share`)
	check("")
	w.clock.add(freshFor) // nobody polls: the rows count
	check(fault.Denied)
}

// A fill that read the rules before a change must not outlive the change.
func TestShareFillBesideChange(t *testing.T) {
	w := open(t)
	other, err := w.CreateAccount(t.Context(), Operator(), "other")
	w.must(err)
	guest := w.user("other", "guest", "", false)
	app := w.shared(w.org(w.acme.ID, "team"), "app")
	w.share(app, AccountTarget(other.ID), forever)
	slow := cachedShare{until: forever, owner: w.epochs.of(w.acme.ID), caller: w.epochs.of(other.ID)}
	w.sql(w.acme.ID, `DELETE FROM share`)
	w.shares.put(sharing{other.ID, app.Repository}, slow)
	w.want(w.Check(t.Context(), guest, Pull, app), fault.Denied)
}
