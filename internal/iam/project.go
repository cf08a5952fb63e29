package iam

import (
	"context"
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// A Project is a name that clients of the management API scope themselves by.
// Each account begins with one, named as the region.
type Project struct {
	ID, Name string
	Created  time.Time
}

type projectRow struct {
	ID, Name string
	Created  int64
}

func (r projectRow) project() Project {
	return Project{ID: r.ID, Name: r.Name, Created: fromMicros(r.Created)}
}

const selectProject = `SELECT id, name, created FROM project WHERE account = $1 `

// maxProjects bounds the cache of the owners of projects.
const maxProjects = 4096

// Projects lists the projects of an account, by name. Errors: Denied,
// AccountUnknown.
func (a *Authority) Projects(ctx context.Context, who Caller, account string) ([]Project, error) {
	rows, err := db.View(ctx, a.db, func(tx *db.Tx) ([]projectRow, error) {
		acc, err := a.manage(tx, who, ListProjects, account, "")
		if err != nil {
			return nil, err
		}
		return db.All[projectRow](tx.Context(), tx, selectProject+`ORDER BY name LIMIT $2`, acc.ID, MaxPage)
	})
	return page(rows, MaxPage, projectRow.project).Items, err
}

// Project shows a project of the caller's account by its id. Errors: Denied,
// ProjectUnknown.
func (a *Authority) Project(ctx context.Context, who Caller, id string) (Project, error) {
	if err := a.Check(ctx, who, ListProjects, Resource{Account: who.Account}); err != nil {
		return Project{}, err
	}
	return oneProject(ctx, a.db, id, selectProject+`AND id = $2`, who.Account, id)
}

// findProject looks a project of an account up by its name.
func findProject(ctx context.Context, q db.Querier, account, name string) (Project, error) {
	return oneProject(ctx, q, name, selectProject+`AND name = $2`, account, name)
}

func oneProject(ctx context.Context, q db.Querier, called, query string, args ...any) (Project, error) {
	row, err := projectRow{}, db.ErrNone
	if isName(called) {
		row, err = db.One[projectRow](ctx, q, query, args...)
	}
	if errors.Is(err, db.ErrNone) {
		return Project{}, fault.New(fault.ProjectUnknown, "There is no project %s in the account.", clip(called))
	}
	return row.project(), err
}

// OwnsProject reports whether the project with this id belongs to the caller's
// account.
func (a *Authority) OwnsProject(ctx context.Context, who Caller, id string) (bool, error) {
	owner, ok := a.projects.get(id)
	if !ok && !isName(id) {
		return false, nil
	}
	if !ok {
		var err error
		if owner, err = db.One[string](ctx, a.db, `SELECT account FROM project WHERE id = $1`, id); err != nil {
			if errors.Is(err, db.ErrNone) {
				err = nil
			}
			return false, err
		}
		a.projects.put(id, owner) // for good: no project ever changes hands or goes
	}
	return owner == who.Account, nil
}
