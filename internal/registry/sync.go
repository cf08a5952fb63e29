package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	Creator     string
	CreatorName string
	Created     time.Time
	Updated     time.Time
}

// MaxSyncs bounds the synchronizations of one repository.
const MaxSyncs = 100

// checkTarget tells whether images can go there at all. Errors: Missing, Invalid.
func (r *Registry) checkTarget(t SyncTarget) error {
	switch {
	case t.Region == "":
		return fault.New(fault.Missing, "The member remoteRegionId is missing.")
	case t.Organization == "":
		return fault.New(fault.Missing, "The member remoteNamespace is missing.")
	case !slices.Contains(r.o.Regions, t.Region):
		if len(r.o.Regions) == 0 {
			return fault.New(fault.Invalid, "remoteRegionId names a region that nothing can be synchronized to: this installation has no other regions.")
		}
		return fault.New(fault.Invalid, "remoteRegionId names a region that nothing can be synchronized to; there is %s.", strings.Join(r.o.Regions, ", "))
	}
	// What is reserved here need not be over there.
	if _, err := oci.ParseOrganization(t.Organization); err != nil && !fault.Is(err, fault.Reserved) {
		return fault.Wrap(fault.Invalid, err, "remoteNamespace is not the name of an organization: %s.", shown(t.Organization))
	}
	return nil
}

type syncRow struct {
	ID                   int64
	Region, Organization string
	Auto, Override       bool
	Creator, CreatorName string
	Created, Updated     int64
}

const syncColumns = `id, region, organization, auto, override, creator, creator_name, created, updated`

func (v syncRow) sync() Sync {
	return Sync{ID: v.ID, SyncTarget: SyncTarget{v.Region, v.Organization}, Auto: v.Auto, Override: v.Override,
		Creator: v.Creator, CreatorName: v.CreatorName, Created: fromMicros(v.Created), Updated: fromMicros(v.Updated)}
}

// CreateSync stores a synchronization.
// Errors: Missing, Invalid, Exists, RepoUnknown, Denied, Unauthorized.
func (r *Registry) CreateSync(ctx context.Context, who iam.Caller, name oci.Name, s Sync) error {
	if err := r.checkTarget(s.SyncTarget); err != nil {
		return err
	}
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.CreateSync, " to "+s.Region+"/"+s.Organization, func(rp repoRow) error {
			n, err := db.One[int](tx.Context(), tx, `SELECT count(*) FROM repo_sync WHERE repository = $1`, rp.ID)
			if err != nil {
				return err
			}
			if n >= MaxSyncs {
				return tooMany(name, n, "synchronizations")
			}
			_, err = db.One[int64](tx.Context(), tx, `INSERT INTO repo_sync (repository, region, organization, auto, override, creator, creator_name, created, updated)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (repository, region, organization) DO NOTHING RETURNING id`,
				rp.ID, s.Region, s.Organization, s.Auto, s.Override, who.User, creatorName(who), tx.Micros())
			if errors.Is(err, db.ErrNone) {
				return fault.New(fault.Exists, "The repository %s is synchronized to the organization %s in %s already.", name, s.Organization, s.Region)
			}
			return err
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
// any more. What was copied stays. Errors: Missing, RuleUnknown, RepoUnknown,
// Denied, Unauthorized.
func (r *Registry) DeleteSync(ctx context.Context, who iam.Caller, name oci.Name, t SyncTarget) error {
	unknown := fault.New(fault.RuleUnknown, "The repository %s is not synchronized to the organization %s in %s.", name, shown(t.Organization), shown(t.Region))
	return r.update(ctx, func(tx *db.Tx) error {
		return r.onRules(tx, who, name, iam.DeleteSync, " to "+t.Region+"/"+t.Organization, func(rp repoRow) error {
			if !isLine(t.Region, maxCluster) || !isLine(t.Organization, oci.MaxOrganization) {
				return unknown
			}
			n, err := tx.Exec(`DELETE FROM repo_sync WHERE repository = $1 AND region = $2 AND organization = $3`, rp.ID, t.Region, t.Organization)
			if err == nil && n == 0 {
				err = unknown
			}
			return err
		})
	})
}
