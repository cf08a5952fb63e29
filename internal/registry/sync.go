package registry

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// A SyncTarget is where images of a repository are copied to: an organization
// in another region.
type SyncTarget struct {
	Region       string
	Organization string
}

// A Sync copies images of a repository to a target.
type Sync struct {
	ID int64
	SyncTarget
	Auto        bool // with every push; else only when somebody asks for it
	Override    bool // replace a different image that has the tag over there
	Backfill    bool // of CreateSync: also copy what is there already
	Behind      bool // more had to be copied than may wait; it is being caught up
	Creator     string
	CreatorName string
	Created     time.Time
	Updated     time.Time
}

// MaxSyncs bounds the synchronizations of one repository.
const MaxSyncs = 100

// check tells whether a target is one at all. Errors: Missing, Invalid.
func (t SyncTarget) check() error {
	switch {
	case t.Region == "":
		return fault.New(fault.Missing, "The member remoteRegionId is missing.")
	case t.Organization == "":
		return fault.New(fault.Missing, "The member remoteNamespace is missing.")
	}
	return nil
}

// checkSyncTarget tells whether images can go there at all. Errors: Missing, Invalid.
func checkSyncTarget(ctx context.Context, q db.Querier, t SyncTarget) error {
	if err := t.check(); err != nil {
		return err
	}
	if err := checkRegion(ctx, q, t.Region); err != nil {
		return err
	}
	// What is reserved here need not be over there.
	if _, err := oci.ParseOrganization(t.Organization); err != nil && !fault.Is(err, fault.Reserved) {
		return fault.Wrap(fault.Invalid, err, "remoteNamespace is not the name of an organization: %s.", shown(t.Organization))
	}
	return nil
}

// CheckSync is what CreateSync refuses without looking at the other side, for
// whoever does that first. Errors: as CreateSync.
func (r *Registry) CheckSync(ctx context.Context, who iam.Caller, name oci.Name, s Sync) error {
	rp, err := r.lookup(ctx, who, name, iam.CreateSync)
	if err != nil {
		return err
	}
	if err := checkSyncTarget(ctx, r.db, s.SyncTarget); err != nil {
		return err
	}
	_, err = db.One[int64](ctx, r.db, `SELECT id FROM repo_sync WHERE repository = $1 AND region = $2 AND organization = $3`, rp.ID, s.Region, s.Organization)
	if err == nil {
		return syncExists(name, s.SyncTarget)
	}
	return ignoreNone(err)
}

func syncExists(name oci.Name, t SyncTarget) error {
	return fault.New(fault.Exists, "The repository %s is synchronized to the organization %s in %s already.", name, t.Organization, t.Region)
}

type syncRow struct {
	ID                   int64
	Region, Organization string
	Auto, Override       bool
	Behind               bool
	Creator, CreatorName string
	Created, Updated     int64
}

const syncColumns = `id, region, organization, auto, override, behind, creator, creator_name, created, updated`

func (v syncRow) sync() Sync {
	return Sync{ID: v.ID, SyncTarget: SyncTarget{v.Region, v.Organization}, Auto: v.Auto, Override: v.Override, Behind: v.Behind,
		Creator: v.Creator, CreatorName: v.CreatorName, Created: fromMicros(v.Created), Updated: fromMicros(v.Updated)}
}

// CreateSync stores a synchronization.
// Errors: Missing, Invalid, Exists, RepoUnknown, Denied, Unauthorized.
func (r *Registry) CreateSync(ctx context.Context, who iam.Caller, name oci.Name, s Sync) error {
	if err := s.check(); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.CreateSync, " to "+s.Region+"/"+s.Organization, func(rp repoRow) error {
			if err := checkSyncTarget(tx.Context(), tx, s.SyncTarget); err != nil {
				return err
			}
			n, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM repo_sync WHERE repository = $1`, rp.ID)
			if err != nil {
				return err
			}
			if n >= MaxSyncs {
				return tooMany(name, n, "synchronizations")
			}
			id, err := db.One[int64](tx.Context(), tx, `INSERT INTO repo_sync (repository, region, organization, auto, override, creator, creator_name, created, updated)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (repository, region, organization) DO NOTHING RETURNING id`,
				rp.ID, s.Region, s.Organization, s.Auto, s.Override, who.User, creatorName(who), tx.Micros())
			if errors.Is(err, db.ErrNone) {
				return syncExists(name, s.SyncTarget)
			}
			if err != nil || !s.Backfill {
				return err
			}
			return r.compareAnew(tx, rp, id, s.SyncTarget, true)
		})
	})
}

// Syncs lists the synchronizations of a repository, the oldest first.
// Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) Syncs(ctx context.Context, who iam.Caller, name oci.Name) ([]Sync, error) {
	rp, err := r.lookup(ctx, who, name, iam.ListSyncs)
	if err != nil {
		return nil, err
	}
	rows, err := db.All[syncRow](ctx, r.db, `SELECT `+syncColumns+` FROM repo_sync WHERE repository = $1 ORDER BY id LIMIT $2`, rp.ID, MaxPage)
	if err != nil {
		return nil, err
	}
	list := make([]Sync, len(rows))
	for i, v := range rows {
		list[i] = v.sync()
	}
	return list, nil
}

// DeleteSync ends a synchronization, also one to a region that is not known
// any more, and what of it waits. What was copied stays. Errors: Missing, RuleUnknown, RepoUnknown,
// Denied, Unauthorized.
func (r *Registry) DeleteSync(ctx context.Context, who iam.Caller, name oci.Name, t SyncTarget) error {
	unknown := unknownSync(name, t)
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.DeleteSync, " to "+t.Region+"/"+t.Organization, func(rp repoRow) error {
			if !isLine(t.Region, maxCluster) || !isLine(t.Organization, oci.MaxOrganization) {
				return unknown
			}
			id, err := ruleOf[int64](tx.Context(), tx, unknown, `DELETE FROM repo_sync WHERE repository = $1 AND region = $2 AND organization = $3 RETURNING id`,
				rp.ID, t.Region, t.Organization)
			if err != nil {
				return err
			}
			_, err = tx.Exec(`UPDATE sync_job SET status = $3, detail = $4, updated = $5 WHERE repository = $1 AND rule = $2 AND status = 'waiting'`,
				rp.ID, id, string(SyncCancelled), "The synchronization was deleted.", tx.Micros())
			return err
		})
	})
}
