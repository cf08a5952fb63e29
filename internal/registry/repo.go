package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

var categories = []string{"app_server", "linux", "framework_app", "database", "lang", "other", "windows", "arm"}

const maxDescription = 30000 // characters

// category returns the stored spelling of a category.
func category(s string) (string, error) {
	switch {
	case s == "":
		return "other", nil
	case s == "arms":
		return "arm", nil
	case slices.Contains(categories, s):
		return s, nil
	}
	return "", fault.New(fault.Invalid, "The category is one of %s.", strings.Join(categories, ", "))
}

func checkDescription(s string) error {
	if utf8.RuneCountInString(s) > maxDescription {
		return fault.New(fault.TooLong, "A description has at most %d characters.", maxDescription)
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fault.New(fault.Invalid, "The description is text.")
	}
	return nil
}

// lookup finds a repository for reading. What the caller may not know about
// and what does not exist answer alike.
func (r *Registry) lookup(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action) (repoRow, error) {
	rp, err := r.repo(ctx, name)
	if err == nil {
		return rp, r.iam.Check(ctx, who, do, resource(&rp))
	}
	if !errors.Is(err, db.ErrNone) {
		return rp, err
	}
	return rp, r.absent(ctx, nil, who, name, do)
}

// absent answers for a repository that does not exist: that it does not, to
// those who may see the organization, else what a forbidden one would answer.
// tx is nil outside of a transaction.
func (r *Registry) absent(ctx context.Context, tx *db.Tx, who iam.Caller, name oci.Name, do iam.Action) error {
	on := iam.Resource{Name: string(name)}
	var o orgRow
	var err error
	if tx != nil {
		o, err = r.orgIn(tx, name.Organization())
	} else {
		o, err = r.org(ctx, name.Organization())
	}
	if err == nil {
		on.Account, on.Organization = o.Account, o.ID
	} else if !fault.Is(err, fault.OrgUnknown) {
		return err
	} else if tx == nil && r.o.CreateOnPush && !who.Anonymous() {
		// Who may create it by a push may know that it is not there.
		may, err := r.iam.May(ctx, who, iam.CreateOrg, iam.Resource{Account: who.Account, Name: name.Organization()})
		if err != nil {
			return err
		}
		if may {
			return fault.New(fault.RepoUnknown, "The repository %s does not exist.", name)
		}
	}
	if tx != nil {
		err = r.iam.Allow(tx, who, do, on)
	} else {
		err = r.iam.Check(ctx, who, do, on)
	}
	if err != nil {
		return err
	}
	return fault.New(fault.RepoUnknown, "The repository %s does not exist.", name)
}

// repo reads a repository's row, through the cache where that is exact.
func (r *Registry) repo(ctx context.Context, name oci.Name) (repoRow, error) {
	if !r.db.Exact() {
		return repoByPath(ctx, r.db, name)
	}
	// That there is none is remembered too: a push asks several times before
	// it creates the repository.
	rp, err := cached(r.cache, repoKey(name), func() (repoRow, int, error) {
		rp, err := repoByPath(ctx, r.db, name)
		return rp, 128 + len(name), ignoreNone(err)
	})
	if err == nil && rp.ID == 0 {
		err = db.ErrNone
	}
	return rp, err
}

// repoIn reads a repository's row inside a transaction, from the cache where
// that says the same.
func (r *Registry) repoIn(tx *db.Tx, name oci.Name) (repoRow, error) {
	rp, ok := peekIn[repoRow](tx, r.cache, repoKey(name))
	switch {
	case !ok:
		return repoByPath(tx.Context(), tx, name)
	case rp.ID == 0:
		return rp, db.ErrNone
	}
	return rp, nil
}

// repoFor finds a repository inside a transaction and decides whether the
// caller may do this to it.
func (r *Registry) repoFor(tx *db.Tx, who iam.Caller, name oci.Name, do iam.Action) (repoRow, error) {
	rp, err := r.repoIn(tx, name)
	if errors.Is(err, db.ErrNone) {
		return rp, r.absent(tx.Context(), tx, who, name, do)
	}
	if err != nil {
		return rp, err
	}
	return rp, r.iam.Allow(tx, who, do, resource(&rp))
}

// repoForPush is repoFor for uploads: what is missing is created where the
// rules allow it.
func (r *Registry) repoForPush(tx *db.Tx, who iam.Caller, name oci.Name) (repoRow, error) {
	rp, err := r.repoIn(tx, name)
	if err == nil {
		return rp, r.iam.Allow(tx, who, iam.Push, resource(&rp))
	}
	if !errors.Is(err, db.ErrNone) {
		return rp, err
	}
	o, err := r.orgIn(tx, name.Organization())
	if fault.Is(err, fault.OrgUnknown) && r.o.CreateOnPush && !who.Anonymous() {
		o, err = r.createOrg(tx, who, OrgSpec{Name: name.Organization()})
	}
	if fault.Is(err, fault.OrgUnknown) {
		return rp, r.noOrganization(who, name)
	}
	if err != nil {
		return rp, err
	}
	on := o.resource()
	on.Name = string(name)
	if err := r.iam.Allow(tx, who, iam.Push, on); err != nil {
		return rp, err
	}
	rp, err = r.createRepo(tx, who, o, name, RepoSpec{Category: "other", Public: o.Public && o.Kind == ""})
	if fault.Is(err, fault.Exists) { // another push was first
		return repoByPath(tx.Context(), tx, name)
	}
	return rp, err
}

func (r *Registry) noOrganization(who iam.Caller, name oci.Name) error {
	if who.Anonymous() {
		return fault.New(fault.Unauthorized, "Log in to push to %s.", name)
	}
	return fault.New(fault.Denied, "The organization %s does not exist: create it before you push to %s.", name.Organization(), name)
}

// mayPush decides, before any byte is read, whether a push can work. It writes
// nothing and creates nothing.
func (r *Registry) mayPush(ctx context.Context, who iam.Caller, name oci.Name) error {
	rp, err := r.repo(ctx, name)
	if err == nil {
		return r.iam.Check(ctx, who, iam.Push, resource(&rp))
	}
	if !errors.Is(err, db.ErrNone) {
		return err
	}
	o, err := r.org(ctx, name.Organization())
	if fault.Is(err, fault.OrgUnknown) {
		if r.o.CreateOnPush && !who.Anonymous() {
			return r.iam.Check(ctx, who, iam.CreateOrg, iam.Resource{Account: who.Account, Name: name.Organization()})
		}
		return r.noOrganization(who, name)
	}
	if err != nil {
		return err
	}
	on := o.resource()
	on.Name = string(name)
	return r.iam.Check(ctx, who, iam.Push, on)
}

// May tells whether the caller may do this to a repository, without doing it:
// a client that pushes learns on its first request that it cannot work.
// Errors: Denied, Unauthorized, RepoUnknown.
func (r *Registry) May(ctx context.Context, who iam.Caller, name oci.Name, do iam.Action) error {
	if do == iam.Push {
		return r.mayPush(ctx, who, name)
	}
	_, err := r.lookup(ctx, who, name, do)
	return err
}

type repoView struct {
	ID, OrgID               int64
	Account, Path           string
	Public, Open            bool
	Category, Description   string
	Creator, CreatorName    string
	Created, Updated, Pulls int64
	NTags, Size             int64
}

// openToAll is what counts of repository r: whether everyone may pull from it.
const openToAll = `(r.public OR coalesce((SELECT v.public FROM organization v WHERE v.id = r.organization), false))`

const repoViewColumns = `r.id, r.organization, r.account, r.path, r.public, ` + openToAll + `, r.category, r.description, r.creator, r.creator_name,
	r.created, r.updated, r.pulls, r.tags, r.size`

func (v repoView) repo() Repo {
	return Repo{ID: v.ID, OrgID: v.OrgID, Account: v.Account, Name: oci.Name(v.Path), Public: v.Public, Open: v.Open, Category: v.Category, Description: v.Description,
		Creator: v.Creator, CreatorName: v.CreatorName, Created: fromMicros(v.Created), Updated: fromMicros(v.Updated), Pulls: v.Pulls, Tags: v.NTags, Size: v.Size}
}

// Repo shows one repository. Errors: RepoUnknown, Denied, Unauthorized.
func (r *Registry) Repo(ctx context.Context, who iam.Caller, name oci.Name) (Repo, error) {
	rp, err := r.lookup(ctx, who, name, iam.ShowRepo)
	if err != nil {
		return Repo{}, err
	}
	v, err := db.One[repoView](ctx, r.db, `SELECT `+repoViewColumns+` FROM repository r WHERE r.id = $1`, rp.ID)
	if errors.Is(err, db.ErrNone) {
		return Repo{}, fault.New(fault.RepoUnknown, "The repository %s does not exist.", name)
	}
	return v.repo(), err
}

// lockRepo makes sure that the repository is not deleted under the caller.
// lock is tx.ForKeyShare or tx.ForNoKeyUpdate; SQLite has one writer and needs none.
func lockRepo(tx *db.Tx, id int64, name oci.Name, lock string) error {
	if lock == "" {
		return nil
	}
	_, err := db.One[int64](tx.Context(), tx, `SELECT id FROM repository WHERE id = $1 AND organization <> 0`+lock, id)
	if errors.Is(err, db.ErrNone) {
		return fault.New(fault.RepoUnknown, "The repository %s does not exist.", name)
	}
	return err
}
