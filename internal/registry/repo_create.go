package registry

import (
	"context"
	"errors"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

func (r *Registry) createRepo(tx *db.Tx, who iam.Caller, o orgRow, name oci.Name, s RepoSpec) (repoRow, error) {
	if o.Kind == kindChart {
		if err := helm.CheckName(name.Repository()); err != nil {
			return repoRow{}, err
		}
	}
	if err := lockOrg(tx, o); err != nil {
		return repoRow{}, err
	}
	rp, err := db.One[repoRow](tx.Context(), tx, `INSERT INTO repository
			(organization, account, path, name, public, category, description, creator, creator_name, created, updated, chart)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11) ON CONFLICT (path) DO NOTHING RETURNING `+repoColumns,
		o.ID, o.Account, string(name), name.Repository(), s.Public, s.Category, s.Description, who.User, creatorName(who), tx.Micros(), o.Kind == kindChart)
	if errors.Is(err, db.ErrNone) {
		return rp, fault.New(fault.Exists, "The repository %s exists already.", name)
	}
	if err != nil {
		return rp, err
	}
	tx.Invalidate(repoKey(name))
	r.touching(tx, rp.ID) // the push that created it need not write the time again
	if err := r.iam.Audit(tx, who, iam.CreateRepo, string(name), "ok"); err != nil {
		return rp, err
	}
	return rp, r.addRepo(tx, who, rp, repoKind{o.ID, s.Category, s.Public})
}

// addRepo adds a new repository to the sums. Errors: Quota, with the detail "repo".
func (r *Registry) addRepo(tx *db.Tx, who iam.Caller, rp repoRow, k repoKind) error {
	if limit := int64(r.o.ReposPerOwner); limit > 0 && !who.Operator() {
		if err := lockQuota(tx, rp.Account); err != nil {
			return err
		}
		now, err := used(tx.Context(), tx, rp.Account)
		if err != nil {
			return err
		}
		if now.repos >= limit {
			return fault.New(fault.Quota, "The account has %d repositories, which is its quota: delete one before you create %s.", now.repos, rp.Path).With("repo")
		}
	}
	if err := r.addUsage(tx, rp.Account, change{repos: 1}); err != nil {
		return err
	}
	return r.countRepos(tx, rp.Account, map[repoKind]int64{k: 1})
}

// lockOrg makes sure that the organization is not deleted under the caller, who
// has just read it: deleting locks the row before it looks for repositories.
func lockOrg(tx *db.Tx, o orgRow) error {
	lock := tx.ForKeyShare()
	if o.Kind == kindChart {
		lock = tx.ForNoKeyUpdate() // a push raises its number, and takes it before the sums of the account
	}
	if lock == "" {
		return nil
	}
	_, err := db.One[int64](tx.Context(), tx, `SELECT id FROM organization WHERE id = $1`+lock, o.ID)
	if errors.Is(err, db.ErrNone) {
		return fault.New(fault.OrgUnknown, "The organization %s does not exist.", o.Name)
	}
	return err
}

// CreateRepo makes an empty repository. It looks at the caller's right on the
// organization alone. Errors: OrgUnknown, Denied, Invalid, TooLong, Exists.
func (r *Registry) CreateRepo(ctx context.Context, who iam.Caller, name oci.Name, s RepoSpec) (Repo, error) {
	var err error
	if s.Category, err = category(s.Category); err != nil {
		return Repo{}, err
	}
	if err := checkDescription(s.Description); err != nil {
		return Repo{}, err
	}
	_, err = db.Update(ctx, r.db, func(tx *db.Tx) (repoRow, error) {
		o, err := orgByName(tx.Context(), tx, name.Organization())
		if err != nil {
			return repoRow{}, err
		}
		on := o.resource()
		on.Name = string(name)
		if err := r.iam.Allow(tx, who, iam.CreateRepo, on); err != nil {
			return repoRow{}, err
		}
		return r.createRepo(tx, who, o, name, s)
	})
	if err != nil {
		return Repo{}, err
	}
	return r.Repo(ctx, who, name)
}
