package iam

import (
	"errors"
	"time"

	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/fault"
)

// UserRight is a user's right on an organization or a repository.
type UserRight struct {
	ID             int64 // grows with each grant
	User, UserName string
	Right          Right
	Created        time.Time
}

// A level is where grants are kept: of organizations or of repositories.
type level struct {
	table, column string
	id            func(Resource) int64
	absent        fault.Code
}

func orgLevel() level {
	return level{"org_grant", "organization", func(r Resource) int64 { return r.Organization }, fault.OrgUnknown}
}

func repoLevel() level {
	return level{"repo_grant", "repository", func(r Resource) int64 { return r.Repository }, fault.RepoUnknown}
}

// GrantOrg gives a user of the owner's account a right on an organization.
// Errors: Denied, RightInvalid, UserUnknown, Exists where he has one already.
func (a *Authority) GrantOrg(tx *db.Tx, who Caller, on Resource, userID string, right Right) error {
	return a.grant(tx, orgLevel(), who, GrantOrg, on, userID, right)
}

// ChangeOrgGrant changes a right that GrantOrg gave. Errors: Denied, RightInvalid,
// UserUnknown, GrantUnknown.
func (a *Authority) ChangeOrgGrant(tx *db.Tx, who Caller, on Resource, userID string, right Right) error {
	return a.grant(tx, orgLevel(), who, ChangeOrgGrant, on, userID, right)
}

// RevokeOrg takes a user's right on an organization; rights on its
// repositories stay. Errors: Denied, UserUnknown, GrantUnknown.
func (a *Authority) RevokeOrg(tx *db.Tx, who Caller, on Resource, userID string) error {
	return a.revoke(tx, orgLevel(), who, RevokeOrg, on, userID)
}

// OrgGrants lists the rights on an organization in the order they were
// granted, those with an ID greater than after. Errors: Denied.
func (a *Authority) OrgGrants(tx *db.Tx, who Caller, on Resource, after int64, n int) (Page[UserRight], error) {
	return a.grants(tx, orgLevel(), who, ShowOrgGrants, on, after, n)
}

// GrantRepo gives a user of the owner's account, and not the caller himself, a
// right on a repository. Errors: Denied, RightInvalid, UserUnknown, Exists.
func (a *Authority) GrantRepo(tx *db.Tx, who Caller, on Resource, userID string, right Right) error {
	return a.grant(tx, repoLevel(), who, GrantRepo, on, userID, right)
}

// ChangeRepoGrant changes a right that GrantRepo gave, but not one's own.
// Errors: Denied, Invalid, UserUnknown, GrantUnknown.
func (a *Authority) ChangeRepoGrant(tx *db.Tx, who Caller, on Resource, userID string, right Right) error {
	return a.grant(tx, repoLevel(), who, ChangeRepoGrant, on, userID, right)
}

// RevokeRepo takes a user's right on a repository. Errors: Denied,
// UserUnknown, GrantUnknown.
func (a *Authority) RevokeRepo(tx *db.Tx, who Caller, on Resource, userID string) error {
	return a.revoke(tx, repoLevel(), who, RevokeRepo, on, userID)
}

// RepoGrants lists the rights on a repository as OrgGrants does.
func (a *Authority) RepoGrants(tx *db.Tx, who Caller, on Resource, after int64, n int) (Page[UserRight], error) {
	return a.grants(tx, repoLevel(), who, ShowRepoGrants, on, after, n)
}

// SetOrgGrant stores a right without asking who may: it is for the creator of
// an organization, by the transaction that creates it and raises the epoch.
func (a *Authority) SetOrgGrant(tx *db.Tx, org int64, userID string, right Right) error {
	_, err := tx.Exec(`INSERT INTO org_grant (organization, iam_user, auth, created) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization, iam_user) DO UPDATE SET auth = excluded.auth`, org, userID, int64(right), tx.Micros())
	return err
}

func (a *Authority) grant(tx *db.Tx, l level, who Caller, do Action, on Resource, userID string, right Right) error {
	if err := a.Allow(tx, who, do, on); err != nil {
		return err
	}
	if !right.Valid() {
		return fault.New(fault.RightInvalid, "A right is 1 (read), 3 (edit) or 7 (manage).")
	}
	if l.table == "repo_grant" && userID == who.User && !who.System() {
		return fault.New(fault.Denied, "You may not grant yourself a right on a repository.")
	}
	id, name, err := grantee(tx, l, on, userID)
	if err != nil {
		return err
	}
	var changed int64
	if do == GrantOrg || do == GrantRepo {
		changed, err = tx.Exec(`INSERT INTO `+l.table+` (`+l.column+`, iam_user, auth, created) VALUES ($1, $2, $3, $4)
			ON CONFLICT (`+l.column+`, iam_user) DO NOTHING`, id, userID, int64(right), tx.Micros())
		if err == nil && changed == 0 {
			return fault.New(fault.Exists, "%s has a right on %s already.", name, on.Name)
		}
	} else {
		changed, err = tx.Exec(`UPDATE `+l.table+` SET auth = $3 WHERE `+l.column+` = $1 AND iam_user = $2`, id, userID, int64(right))
		if err == nil && changed == 0 {
			return fault.New(fault.GrantUnknown, "%s has no right on %s to change.", name, on.Name)
		}
	}
	if err != nil {
		return err
	}
	return a.changed(tx, who, on.Account, do, on.Name+" to "+name+" "+right.String())
}

func (a *Authority) revoke(tx *db.Tx, l level, who Caller, do Action, on Resource, userID string) error {
	if err := a.Allow(tx, who, do, on); err != nil {
		return err
	}
	id, name, err := grantee(tx, l, on, userID)
	if err != nil {
		return err
	}
	gone, err := tx.Exec(`DELETE FROM `+l.table+` WHERE `+l.column+` = $1 AND iam_user = $2`, id, userID)
	if err != nil {
		return err
	}
	if gone == 0 {
		return fault.New(fault.GrantUnknown, "%s has no right on %s.", name, on.Name)
	}
	return a.changed(tx, who, on.Account, do, on.Name+" from "+name)
}

// grantee checks that the thing exists and that the user is of its account:
// nobody else can have a right on it. The user is not deleted before the
// transaction ends.
func grantee(tx *db.Tx, l level, on Resource, userID string) (id int64, name string, err error) {
	if id = l.id(on); id == 0 {
		return 0, "", fault.New(l.absent, "%s does not exist.", on.Name)
	}
	name, err = db.One[string](tx.Context(), tx, `SELECT name FROM iam_user WHERE id = $1 AND account = $2`+tx.ForKeyShare(), userID, on.Account)
	if errors.Is(err, db.ErrNone) {
		err = fault.New(fault.UserUnknown, "There is no user with the id %s in the account of %s.", userID, on.Name)
	}
	return id, name, err
}

type userRightRow struct {
	ID             int64
	User, UserName string
	Right          Right
	Created        int64
}

func (a *Authority) grants(tx *db.Tx, l level, who Caller, do Action, on Resource, after int64, n int) (Page[UserRight], error) {
	if err := a.Allow(tx, who, do, on); err != nil {
		return Page[UserRight]{}, err
	}
	n = clampPage(n)
	rows, err := db.All[userRightRow](tx.Context(), tx, `SELECT g.id, u.id, u.name, g.auth, g.created
		FROM `+l.table+` g JOIN iam_user u ON u.id = g.iam_user
		WHERE g.`+l.column+` = $1 AND g.id > $2 ORDER BY g.id LIMIT $3`, l.id(on), after, n+1)
	return page(rows, n, func(r userRightRow) UserRight {
		return UserRight{ID: r.ID, User: r.User, UserName: r.UserName, Right: r.Right, Created: fromMicros(r.Created)}
	}), err
}

// CheckUser makes sure that the account has the user, and that the name, where
// it is given, is his. Errors: UserUnknown.
func (a *Authority) CheckUser(tx *db.Tx, account, id, name string) error {
	is, err := "", db.ErrNone
	if isName(id) {
		is, err = db.One[string](tx.Context(), tx, `SELECT name FROM iam_user WHERE id = $1 AND account = $2`, id, account)
	}
	switch {
	case errors.Is(err, db.ErrNone):
		return fault.New(fault.UserUnknown, "There is no user with the id %s in the account.", clip(id))
	case err != nil:
		return err
	case name != "" && name != is:
		return fault.New(fault.UserUnknown, "The user with the id %s has another name.", id)
	}
	return nil
}
