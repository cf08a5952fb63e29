package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/iam"
)

// A SharedFilter says which shared repositories are meant; what is zero does
// not narrow them.
type SharedFilter struct {
	Theirs   bool   // of other accounts, shared with the caller's; else the caller's own that are shared
	Org      string // of this organization
	OrgPart  bool   // where none is of an organization of that name: of all whose name contains it
	Name     string // whose name in the organization contains this
	Category string
	Owner    string // whose account has this name
	Valid    *bool  // whose share is valid; those of the own account count as not valid
}

// A SharedRepo is a repository that is shared. Where the share of another
// account's is over, what the repository has by now is left out.
type SharedRepo struct {
	RepoItem
	Valid bool
}

// SharedList is a page, and how many there are under its filter.
type SharedList struct {
	Items []SharedRepo
	Total int64
	Next  int64 // of SharedBelow: what to ask for next, 0: nothing follows
}

// Shared lists shared repositories. Whoever is of the account sees what is
// shared with it; of its own repositories each user sees those that he may
// read. Errors: Unauthorized.
func (r *Registry) Shared(ctx context.Context, who iam.Caller, f SharedFilter, o Order, w Window) (SharedList, error) {
	return r.viewShared(ctx, who, f, func(tx *db.Tx, l *sharedListing) (SharedList, error) {
		total, err := l.count(tx)
		if err != nil || int64(w.Offset) >= total {
			return SharedList{Items: []SharedRepo{}, Total: total}, err
		}
		items, err := l.page(tx, o, clampPage(w.Limit), max(w.Offset, 0))
		return SharedList{Items: items, Total: total}, err
	})
}

// SharedBelow lists the same by id, the greatest first, those with an id below
// before (0: from the greatest). It may return fewer than n though more follow.
func (r *Registry) SharedBelow(ctx context.Context, who iam.Caller, f SharedFilter, before int64, n int) (SharedList, error) {
	if before <= 0 {
		before = never
	}
	n = max(clampPage(n), 1)
	return r.viewShared(ctx, who, f, func(tx *db.Tx, l *sharedListing) (SharedList, error) {
		var out SharedList
		for round := 0; ; round++ {
			low, more, err := l.stretch(tx, before, n+1, round)
			if err != nil {
				return SharedList{}, err
			}
			items, err := l.between(tx, low, before, n+1-len(out.Items))
			if err != nil {
				return SharedList{}, err
			}
			out.Items = append(out.Items, items...)
			switch {
			case len(out.Items) > n:
				out.Items = out.Items[:n]
				out.Next = out.Items[n-1].ID
				return out, nil
			case !more:
				return out, nil
			case round == maxStretches:
				out.Next = low
				return out, nil
			}
			before = low
		}
	})
}

// maxStretches bounds how far one request looks for what matches its filter.
const maxStretches = 20

// viewShared prepares a list and reads it on one snapshot.
func (r *Registry) viewShared(ctx context.Context, who iam.Caller, f SharedFilter, read func(*db.Tx, *sharedListing) (SharedList, error)) (SharedList, error) {
	if err := r.iam.Check(ctx, who, iam.ListSharedRepos, iam.Resource{Account: who.Account}); err != nil {
		return SharedList{}, err
	}
	admin, err := r.iam.Administers(ctx, who)
	if err != nil {
		return SharedList{}, err
	}
	if f.Category == "arms" {
		f.Category = "arm"
	}
	return db.View(ctx, r.db, func(tx *db.Tx) (SharedList, error) {
		l := &sharedListing{filter: f, account: who.Account, now: tx.Micros()}
		if !admin {
			l.user = who.User
		}
		nothing := SharedList{Items: []SharedRepo{}}
		if !plainText(f.Name+f.Org+f.Owner+f.Category) || !f.Theirs && (f.Owner != "" && f.Owner != who.AccountName || f.Valid != nil && *f.Valid) {
			return nothing, nil
		}
		if f.Theirs {
			if l.targets, err = iam.Targets(tx.Context(), tx, who.Account); err != nil || len(l.targets) == 0 {
				return nothing, err
			}
		}
		if f.Org != "" && f.OrgPart {
			if err := l.findOrg(tx); err != nil {
				return nothing, err
			}
		}
		return read(tx, l)
	})
}

// sharedRow is a row of a list.
type sharedRow struct {
	itemRow
	Until int64
}

func (i sharedRow) repo(now int64, theirs bool) SharedRepo {
	s := SharedRepo{RepoItem: i.item(), Valid: theirs && now < i.Until}
	if theirs && !s.Valid {
		s.Description, s.Size, s.Tags, s.Pulls, s.TagNames = "", 0, 0, 0, []string{}
		if end := fromMicros(i.Until); s.Updated.After(end) {
			s.Updated = end
		}
	}
	return s
}

// findOrg decides whether the organization of the filter is a name or a part
// of names: a name, if anything of the list is in an organization called so.
func (l *sharedListing) findOrg(tx *db.Tx) error {
	exact := *l
	exact.filter = SharedFilter{Theirs: l.filter.Theirs, Org: l.filter.Org}
	var q sharedQuery
	text := `SELECT 1` + exact.from(&q) + ` LIMIT 1`
	_, err := db.One[int64](tx.Context(), tx, text, q.args...)
	if errors.Is(err, db.ErrNone) {
		return nil
	}
	l.filter.OrgPart = false
	return err
}
