package iamapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// The one role there is: to administer the account. Tokens name it, so that
// clients that look for it there can also give it and take it away.
const (
	adminRoleID = "0"
	adminRole   = "te_admin"
)

// Role is a role as clients look it up.
type Role struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	DisplayName string      `json:"display_name"`
	Type        string      `json:"type"` // AX: of accounts, not of projects
	Description string      `json:"description"`
	DomainID    *string     `json:"domain_id"` // null: the same in every account
	Policy      *RolePolicy `json:"policy"`
	Links       Links       `json:"links"`
}

// RolePolicy says what a role allows.
type RolePolicy struct {
	Version   string          `json:"Version"`
	Statement []RoleStatement `json:"Statement"`
}

// RoleStatement allows actions.
type RoleStatement struct {
	Effect string   `json:"Effect"`
	Action []string `json:"Action"`
}

func (a *API) role(c *call) Role {
	return Role{ID: adminRoleID, Name: adminRole, DisplayName: "Administrator", Type: "AX", Description: "Every right in the account.",
		Policy: &RolePolicy{Version: "1.0", Statement: []RoleStatement{{Effect: "Allow", Action: []string{"*:*:*"}}}}, Links: a.links(c, "/v3/roles/"+adminRoleID)}
}

// renderRoles lists the role, or nothing.
func (a *API) renderRoles(c *call, some bool) {
	roles := []Role{}
	if some {
		roles = append(roles, a.role(c))
	}
	web.WriteJSON(c.w, http.StatusOK, struct {
		Roles []Role `json:"roles"`
		Links Links  `json:"links"`
	}{roles, a.links(c, c.r.URL.EscapedPath())})
}

func (a *API) listRoles(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	for _, name := range []string{"name", "display_name", "domain_id", "type"} {
		want := map[string]string{"name": adminRole, "display_name": "Administrator", "type": "AX"}[name]
		if v := q.Get(name); v != "" && v != want {
			a.renderRoles(c, false)
			return nil
		}
	}
	a.renderRoles(c, true)
	return nil
}

func isAdminRole(id string) bool { return id == adminRoleID || id == adminRole }

func errNoRole() error { return fault.New(fault.RuleUnknown, "There is no such role.") }

func (a *API) showRole(c *call) error {
	if !isAdminRole(c.id) {
		return errNoRole()
	}
	web.WriteJSON(c.w, http.StatusOK, map[string]Role{"role": a.role(c)})
	return nil
}

// assignee finds the user of a path {domain_id}/users/{user_id}/…. Administrators
// of another account learn nothing of him, whatever the domain is called.
func (c *call) assignee() (string, error) {
	if c.id != c.who.Account {
		return "", fault.New(fault.Foreign, "The domain in the address is not your account.")
	}
	return c.parts[1], nil
}

// assigned is the user of the path, to those who may see him.
func (a *API) assigned(c *call) (iam.User, error) {
	id, err := c.assignee()
	if err != nil {
		return iam.User{}, err
	}
	return a.iam.UserByID(c.ctx(), c.who, id)
}

func (a *API) listUserRoles(c *call) error {
	u, err := a.assigned(c)
	if err != nil {
		return err
	}
	a.renderRoles(c, u.Admin)
	return nil
}

// checkUserRole answers 204 where the user has the role, and 404 where not.
func (a *API) checkUserRole(c *call) error {
	u, err := a.assigned(c)
	if err != nil {
		return err
	}
	if !isAdminRole(c.parts[2]) || !u.Admin {
		return fault.New(fault.RuleUnknown, "The user does not have this role.")
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) assignRole(c *call) error { return a.setRole(c, true) }
func (a *API) removeRole(c *call) error { return a.setRole(c, false) }

func (a *API) setRole(c *call, on bool) error {
	id, err := c.assignee()
	if err != nil {
		return err
	}
	if !isAdminRole(c.parts[2]) {
		// Who may not change it is told so first.
		if err := a.iam.Check(c.ctx(), c.who, iam.UpdateUser, iam.Resource{Account: c.who.Account}); err != nil {
			return err
		}
		return errNoRole()
	}
	if err := a.iam.SetAdminByID(c.ctx(), c.who, id, on); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
