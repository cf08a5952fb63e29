package iamapi

import (
	"net/http"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// KeystoneUser is a user as lists show him.
type KeystoneUser struct {
	ID              string `json:"id"`
	Name            string `json:"name"`
	DomainID        string `json:"domain_id"`
	Enabled         bool   `json:"enabled"`
	Description     string `json:"description"`
	PasswordExpires string `json:"password_expires_at"` // always empty: none does
	PasswordStatus  bool   `json:"pwd_status"`          // the password should be replaced
	Links           Links  `json:"links"`
}

// User is a user by himself.
type User struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	DomainID       string `json:"domain_id"`
	Enabled        bool   `json:"enabled"`
	IsDomainOwner  bool   `json:"is_domain_owner"` // an administrator of the account
	AccessMode     string `json:"access_mode"`     // default, programmatic, console
	Description    string `json:"description"`
	Email          string `json:"email"`
	AreaCode       string `json:"areacode"`
	Phone          string `json:"phone"`
	PasswordStatus bool   `json:"pwd_status"`
	CreateTime     string `json:"create_time"`
	Links          Links  `json:"links"`
}

// UserRequest creates or changes a user; what is left out stays as it is, or
// is the default. Example: {"user": {"name": "alice", "domain_id":
// "0123456789abcdef0123456789abcdef", "password": "…", "enabled": true}}.
type UserRequest struct {
	User *struct {
		Name           *string `json:"name"`
		DomainID       *string `json:"domain_id"`
		Password       *string `json:"password"`
		Enabled        *bool   `json:"enabled"`
		AccessMode     *string `json:"access_mode"`
		Description    *string `json:"description"`
		Email          *string `json:"email"`
		AreaCode       *string `json:"areacode"`
		Phone          *string `json:"phone"`
		PasswordStatus *bool   `json:"pwd_status"`
	} `json:"user"`
}

func (a *API) keystoneUser(c *call, u iam.User) KeystoneUser {
	return KeystoneUser{ID: u.ID, Name: u.Name, DomainID: u.Account, Enabled: u.Enabled, Description: u.Description,
		PasswordStatus: u.Reset, Links: a.links(c, "/v3/users/"+u.ID)}
}

func (a *API) renderUser(c *call, status int, u iam.User) {
	web.WriteJSON(c.w, status, map[string]User{"user": {ID: u.ID, Name: u.Name, DomainID: u.Account, Enabled: u.Enabled,
		IsDomainOwner: u.Admin, AccessMode: string(u.AccessMode), Description: u.Description,
		Email: u.Contact.Email, AreaCode: u.Contact.AreaCode, Phone: u.Contact.Phone, PasswordStatus: u.Reset,
		CreateTime: timeText(u.Created), Links: a.links(c, "/v3.0/OS-USER/users/"+u.ID)}})
}

// listUsers lists the account's users to administrators, and himself to
// everybody else. A list of more than a page says where the next one is.
func (a *API) listUsers(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	limit, err := number(q, "limit")
	if err != nil {
		return err
	}
	ask := iam.UserQuery{Name: q.Get("name"), After: q.Get("marker"), Limit: limit}
	if limit == 0 {
		ask.Limit = iam.MaxPage
	}
	if ask.Enabled, err = flag(q, "enabled"); err != nil {
		return err
	}
	page, err := a.iam.FindUsers(c.ctx(), c.who, ask)
	if err != nil {
		return err
	}
	if d := q.Get("domain_id"); d != "" && d != c.who.Account {
		page = iam.Page[iam.User]{}
	}
	users := make([]KeystoneUser, 0, len(page.Items))
	for _, u := range page.Items {
		users = append(users, a.keystoneUser(c, u))
	}
	links := a.links(c, "/v3/users")
	if page.More {
		links.Next = next(links.Self, q, page.Items[len(page.Items)-1].Name, "name", "enabled", "limit", "domain_id")
	}
	web.WriteJSON(c.w, http.StatusOK, struct {
		Users []KeystoneUser `json:"users"`
		Links Links          `json:"links"`
	}{users, links})
	return nil
}

func (a *API) showKeystoneUser(c *call) error {
	u, err := a.iam.UserByID(c.ctx(), c.who, c.id)
	if err != nil {
		return err
	}
	web.WriteJSON(c.w, http.StatusOK, map[string]KeystoneUser{"user": a.keystoneUser(c, u)})
	return nil
}

func (a *API) showUser(c *call) error {
	u, err := a.iam.UserByID(c.ctx(), c.who, c.id)
	if err != nil {
		return err
	}
	a.renderUser(c, http.StatusOK, u)
	return nil
}

func (a *API) createUser(c *call) error {
	var in UserRequest
	if err := c.read(&in); err != nil {
		return err
	}
	u := in.User
	switch {
	case u == nil:
		return missing("the member user")
	case u.Name == nil || *u.Name == "":
		return missing("the name of the user")
	case u.DomainID != nil && *u.DomainID != "" && *u.DomainID != c.who.Account:
		return fault.New(fault.Foreign, "The domain_id is not that of your account.")
	}
	n := iam.NewUser{Name: *u.Name, Disabled: u.Enabled != nil && !*u.Enabled, KeepPassword: u.PasswordStatus != nil && !*u.PasswordStatus}
	n.Password, n.Description, n.AccessMode = text(u.Password), text(u.Description), iam.AccessMode(text(u.AccessMode))
	n.Contact = iam.Contact{Email: text(u.Email), AreaCode: text(u.AreaCode), Phone: text(u.Phone)}
	made, err := a.iam.AddUser(c.ctx(), c.who, "", n)
	if err != nil {
		return err
	}
	a.renderUser(c, http.StatusCreated, made)
	return nil
}

func (a *API) updateUser(c *call) error {
	var in UserRequest
	if err := c.read(&in); err != nil {
		return err
	}
	u := in.User
	if u == nil {
		return missing("the member user")
	}
	if u.Password != nil && *u.Password == "" {
		return fault.New(fault.Invalid, "The password is empty.")
	}
	changed, err := a.iam.ChangeUser(c.ctx(), c.who, iam.UserRef{ID: c.id}, iam.UserChange{
		Name: u.Name, Password: u.Password, Description: u.Description, AccessMode: (*iam.AccessMode)(u.AccessMode),
		Email: u.Email, AreaCode: u.AreaCode, Phone: u.Phone, Enabled: u.Enabled, Reset: u.PasswordStatus,
	})
	if err != nil {
		return err
	}
	a.renderUser(c, http.StatusOK, changed)
	return nil
}

func (a *API) deleteUser(c *call) error {
	if err := a.iam.DeleteUserByID(c.ctx(), c.who, c.id); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// PasswordRequest replaces the caller's own password. Example: {"user":
// {"original_password": "…", "password": "…"}}.
type PasswordRequest struct {
	User *struct {
		Original string `json:"original_password"`
		Password string `json:"password"`
	} `json:"user"`
}

func (a *API) changePassword(c *call) error {
	var in PasswordRequest
	if err := c.read(&in); err != nil {
		return err
	}
	if in.User == nil || in.User.Original == "" || in.User.Password == "" {
		return missing("original_password or password")
	}
	if c.id != c.who.User {
		return fault.New(fault.Denied, "You may change your own password here; administrators change others by an update of the user.")
	}
	if err := a.iam.ChangeOwnPassword(c.ctx(), c.who, in.User.Original, in.User.Password, a.origin.Client(c.r)); err != nil {
		return loginFailure(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
