package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// Settings are what an account has chosen for all of its repositories.
type Settings struct {
	Undelete       time.Duration // how long what was deleted or overwritten can come back
	OwnUndelete    bool          // the account chose that; else it is the installation's
	RetentionGuard bool          // a policy that would remove most of a repository at once waits to be confirmed
}

// SettingsPatch changes the members that are not nil.
type SettingsPatch struct {
	Undelete        *time.Duration // 0 to MaxUndelete
	DefaultUndelete bool           // the installation's again
	RetentionGuard  *bool
}

// MaxUndelete is the longest time for which an account can have things kept.
const MaxUndelete = 365 * 24 * time.Hour

// Settings shows the settings of the caller's account.
// Errors: AccountUnknown, Unauthorized.
func (r *Registry) Settings(ctx context.Context, who iam.Caller) (Settings, error) {
	if err := r.iam.Check(ctx, who, iam.ShowSettings, iam.Resource{Account: who.Account}); err != nil {
		return Settings{}, err
	}
	return r.settings(ctx, r.db, who)
}

func (r *Registry) settings(ctx context.Context, q db.Querier, who iam.Caller) (Settings, error) {
	type row struct {
		Undelete *int64
		Guard    bool
	}
	v, err := db.One[row](ctx, q, `SELECT undelete, retention_guard FROM account WHERE id = $1`, who.Account)
	if errors.Is(err, db.ErrNone) {
		return Settings{}, fault.New(fault.AccountUnknown, "Say whose settings are meant: there is no account %s.", who.AccountName)
	}
	return Settings{Undelete: r.window(v.Undelete), OwnUndelete: v.Undelete != nil, RetentionGuard: v.Guard}, err
}

// window is the undelete window of an account that chose so many seconds.
func (r *Registry) window(seconds *int64) time.Duration {
	if seconds == nil {
		return r.o.Undelete
	}
	return max(time.Duration(*seconds)*time.Second, time.Microsecond)
}

// ChangeSettings changes the settings of the caller's account, which its
// administrators may. What waits already for the end of its undelete window
// keeps the time that it was given, or gets the new one where that is longer.
// Errors: Denied, Invalid, AccountUnknown.
func (r *Registry) ChangeSettings(ctx context.Context, who iam.Caller, p SettingsPatch) (Settings, error) {
	if p.Undelete != nil && (*p.Undelete < 0 || *p.Undelete > MaxUndelete) {
		return Settings{}, fault.New(fault.Invalid, "The undelete window (undelete_seconds) is 0 to %d seconds, which is 365 days, or null for what the installation has.", int64(MaxUndelete/time.Second))
	}
	return db.Update(ctx, r.db, func(tx *db.Tx) (Settings, error) {
		if err := r.iam.Allow(tx, who, iam.UpdateSettings, iam.Resource{Account: who.Account}); err != nil {
			return Settings{}, err
		}
		if p.Undelete != nil || p.DefaultUndelete {
			var seconds *int64
			if p.Undelete != nil {
				n := int64(*p.Undelete / time.Second)
				seconds = &n
			}
			if _, err := tx.Exec(`UPDATE account SET undelete = $2 WHERE id = $1`, who.Account, seconds); err != nil {
				return Settings{}, err
			}
			tx.Invalidate(allKeys{}) // every repository of the account says it
			tx.AfterCommit(r.wakeCollector)
		}
		if p.RetentionGuard != nil {
			if _, err := tx.Exec(`UPDATE account SET retention_guard = $2 WHERE id = $1`, who.Account, *p.RetentionGuard); err != nil {
				return Settings{}, err
			}
		}
		s, err := r.settings(tx.Context(), tx, who)
		if err != nil {
			return s, err
		}
		return s, r.iam.Audit(tx, who, iam.UpdateSettings, fmt.Sprintf("%s undelete=%s retention_guard=%t", who.AccountName, s.Undelete, s.RetentionGuard), "ok")
	})
}
