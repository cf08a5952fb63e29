package iamapi

import (
	"net/http"
	"net/url"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// Account is an account as those who administer the installation see it, and
// everybody his own.
type Account struct {
	Domain
	OrgID         string `json:"org_id"`
	OrgPath       string `json:"org_path"`
	CreateTime    string `json:"create_time"`
	Administrator *Ref   `json:"administrator,omitempty"` // the one that was made with it
}

// DomainRequest creates or changes an account; what is left out stays as it is,
// or is the default. The administrator is made with the account. Example:
// {"domain": {"name": "acme", "administrator": {"name": "alice", "password": "…"}}}.
type DomainRequest struct {
	Domain *struct {
		Name          *string `json:"name"`
		Description   *string `json:"description"`
		Enabled       *bool   `json:"enabled"`
		OrgID         *string `json:"org_id"`
		OrgPath       *string `json:"org_path"`
		Administrator *struct {
			Name           string `json:"name"`
			Password       string `json:"password"`
			Description    string `json:"description"`
			Email          string `json:"email"`
			AreaCode       string `json:"areacode"`
			Phone          string `json:"phone"`
			PasswordStatus *bool  `json:"pwd_status"`
		} `json:"administrator"`
	} `json:"domain"`
}

func (a *API) account(c *call, acc iam.Account) Account {
	return Account{
		Domain: Domain{ID: acc.ID, Name: acc.Name, Enabled: acc.Enabled, Description: acc.Description, Links: a.links(c, "/v3/domains/"+acc.ID)},
		OrgID:  acc.OrgID, OrgPath: acc.OrgPath, CreateTime: timeText(acc.Created),
	}
}

func renderAccount(c *call, status int, acc Account) {
	web.WriteJSON(c.w, status, map[string]Account{"domain": acc})
}

// listAllDomains lists the accounts of the installation by name.
func (a *API) listAllDomains(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	limit, err := number(q, "limit")
	if err != nil {
		return err
	}
	ask := iam.AccountQuery{Name: q.Get("name"), After: q.Get("marker"), Limit: limit}
	if limit == 0 {
		ask.Limit = iam.MaxPage
	}
	if ask.Enabled, err = flag(q, "enabled"); err != nil {
		return err
	}
	page, err := a.iam.Accounts(c.ctx(), c.who, ask)
	if err != nil {
		return err
	}
	out := make([]Account, 0, len(page.Items))
	for _, acc := range page.Items {
		out = append(out, a.account(c, acc))
	}
	links := a.links(c, "/v3/domains")
	if page.More {
		links.Next = next(links.Self, q, page.Items[len(page.Items)-1].Name, "name", "enabled", "limit")
	}
	web.WriteJSON(c.w, http.StatusOK, struct {
		Domains []Account `json:"domains"`
		Links   Links     `json:"links"`
	}{out, links})
	return nil
}

// next is the address of the page behind a marker, with the same filters.
func next(self string, q url.Values, marker string, filters ...string) *string {
	out := url.Values{"marker": {marker}}
	for _, name := range filters {
		if v := q.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	address := self + "?" + out.Encode()
	return &address
}

func (a *API) showDomain(c *call) error {
	acc, err := a.iam.AccountByID(c.ctx(), c.who, c.id)
	if err != nil {
		return err
	}
	renderAccount(c, http.StatusOK, a.account(c, acc))
	return nil
}

func (a *API) createDomain(c *call) error {
	var in DomainRequest
	if err := c.read(&in); err != nil {
		return err
	}
	d := in.Domain
	switch {
	case d == nil:
		return missing("the member domain")
	case d.Name == nil || *d.Name == "":
		return missing("the name of the domain")
	}
	n := iam.NewAccount{Name: *d.Name, Description: text(d.Description), Disabled: d.Enabled != nil && !*d.Enabled, OrgID: text(d.OrgID), OrgPath: text(d.OrgPath)}
	if u := d.Administrator; u != nil {
		if u.Name == "" || u.Password == "" {
			return missing("the name or the password of the administrator")
		}
		n.Administrator = &iam.NewUser{Name: u.Name, Password: u.Password, Description: u.Description,
			Contact:      iam.Contact{Email: u.Email, AreaCode: u.AreaCode, Phone: u.Phone},
			KeepPassword: u.PasswordStatus != nil && !*u.PasswordStatus}
	}
	acc, admin, err := a.iam.AddAccount(c.ctx(), c.who, n)
	if err != nil {
		return err
	}
	out := a.account(c, acc)
	if admin.ID != "" {
		out.Administrator = &Ref{ID: admin.ID, Name: admin.Name}
	}
	renderAccount(c, http.StatusCreated, out)
	return nil
}

// text is the empty one for what is not there.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (a *API) updateDomain(c *call) error {
	var in DomainRequest
	if err := c.read(&in); err != nil {
		return err
	}
	d := in.Domain
	if d == nil {
		return missing("the member domain")
	}
	if d.Administrator != nil {
		return fault.New(fault.Unsupported, "An administrator is made with the account; its administrators make others.")
	}
	acc, err := a.iam.ChangeAccount(c.ctx(), c.who, iam.AccountRef{ID: c.id}, iam.AccountChange{
		Name: d.Name, Description: d.Description, Enabled: d.Enabled, OrgID: d.OrgID, OrgPath: d.OrgPath})
	if err != nil {
		return err
	}
	renderAccount(c, http.StatusOK, a.account(c, acc))
	return nil
}

// deleteDomain says to those who may ask that no account goes.
func (a *API) deleteDomain(c *call) error {
	if err := a.iam.Check(c.ctx(), c.who, iam.UpdateAccount, iam.Resource{}); err != nil {
		return err
	}
	return fault.New(fault.Unsupported, "Accounts are not deleted: disable this one by PATCH and \"enabled\": false, and its users are kept out.").With("GET, HEAD, PATCH")
}
