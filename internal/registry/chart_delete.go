package registry

import (
	"context"
	"errors"
	"fmt"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/helm"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// DeleteChart removes a version of a chart. It can come back like any tag.
// Errors: RepoUnknown, TagUnknown, Denied, Unauthorized.
func (r *Registry) DeleteChart(ctx context.Context, who iam.Caller, name oci.Name, version string) error {
	err := r.DeleteTag(ctx, who, name, helm.TagOf(version))
	if fault.Is(err, fault.TagUnknown) {
		return fault.New(fault.TagUnknown, "The chart %s has no version %s.", name.Repository(), shown(version))
	}
	return err
}

// Gone is what went with a chart group.
type Gone struct {
	Charts   []string // their names, the first of them where there are many
	NCharts  int64
	Versions int64 // and signatures: all that had a tag
}

const (
	goneNames   = 100 // names of charts that an answer lists
	tagsPerStep = 100 // that one transaction removes
)

// DeleteChartGroup removes a chart group. One that has charts is removed with
// force only, and then with all of them, for good; it tells what went, and
// without force what there is, in the fault's detail (Gone). It is done in many
// transactions: where it is cut off, or somebody pushes meanwhile, it can be
// called again. Errors: OrgUnknown, Denied, NotEmpty.
func (r *Registry) DeleteChartGroup(ctx context.Context, who iam.Caller, name string, force bool) (Gone, error) {
	o, err := chartGroup(ctx, r.db, name)
	if err != nil {
		return Gone{}, err
	}
	if err := r.iam.Check(ctx, who, iam.DeleteOrg, o.resource()); err != nil {
		return Gone{}, err
	}
	gone, err := r.inGroup(ctx, o)
	if err != nil {
		return Gone{}, err
	}
	if gone.NCharts > 0 && !force {
		return gone, fault.New(fault.NotEmpty, "The chart group %s has %s, %s among them: delete these first, or use force.",
			name, plural(gone.NCharts, "chart"), gone.Charts[0]).With(gone)
	}
	for {
		path, err := db.One[string](ctx, r.db, `SELECT path FROM repository WHERE organization = $1 LIMIT 1`, o.ID)
		if errors.Is(err, db.ErrNone) {
			break
		}
		if err == nil {
			err = r.dropAllTags(ctx, who, oci.Name(path), force)
		}
		if err == nil {
			err = r.DeleteRepo(ctx, who, oci.Name(path))
		}
		if err != nil && !fault.Is(err, fault.RepoUnknown) {
			return gone, err
		}
	}
	return gone, r.update(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM chart_tag WHERE organization = $1 AND manifest = 0`, o.ID); err != nil {
			return err
		}
		return r.dropOrg(tx, who, o)
	})
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// inGroup tells which charts a group has.
func (r *Registry) inGroup(ctx context.Context, o orgRow) (Gone, error) {
	type row struct{ Charts, Tags int64 }
	n, err := db.One[row](ctx, r.db, `SELECT count(*), CAST(coalesce(sum(tags), 0) AS BIGINT) FROM repository WHERE organization = $1 AND tags > 0`, o.ID)
	if err != nil {
		return Gone{}, err
	}
	names, err := db.All[string](ctx, r.db, `SELECT name FROM repository WHERE organization = $1 AND tags > 0 ORDER BY path LIMIT $2`, o.ID, goneNames)
	return Gone{Charts: names, NCharts: n.Charts, Versions: n.Tags}, err
}

// dropAllTags removes all tags of a repository, some at a time.
func (r *Registry) dropAllTags(ctx context.Context, who iam.Caller, name oci.Name, force bool) error {
	for more := force; more; {
		var err error
		more, err = db.Update(ctx, r.db, func(tx *db.Tx) (bool, error) {
			rp, err := r.repoFor(tx, who, name, iam.DeleteRepo)
			if err != nil {
				return false, err
			}
			if err := lockRepo(tx, rp.ID, name, tx.ForKeyShare()); err != nil {
				return false, err
			}
			tags, err := db.All[string](tx.Context(), tx, `SELECT name FROM tag WHERE repository = $1 ORDER BY name LIMIT $2`, rp.ID, tagsPerStep)
			if err != nil {
				return false, err
			}
			var moves tagMoves
			for _, t := range tags {
				if _, err := r.dropTag(tx, who, rp, t, "delete", "", &moves); err != nil {
					return false, err
				}
			}
			return len(tags) == tagsPerStep, r.settle(tx, rp, &moves, false)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
