package swrapi

import (
	"net/http"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
)

// Access credentials are Berth's own: no client of the cloud service knows them.

const credentialsPath = "/v2/manage/credentials"

// The core decides whose they may be.
var credentialRoutes = []route{
	{method: http.MethodPost, pattern: credentialsPath, name: "CreateAccessCredential", about: aCredential, handle: (*API).createCredential},
	{method: http.MethodGet, pattern: credentialsPath, name: "ListAccessCredentials", about: aCredential, handle: (*API).listCredentials},
	{method: http.MethodGet, pattern: credentialsPath + "/{credential}", name: "ShowAccessCredential", about: aCredential, handle: (*API).showCredential},
	{method: http.MethodPatch, pattern: credentialsPath + "/{credential}", name: "UpdateAccessCredential", about: aCredential, handle: (*API).updateCredential},
	{method: http.MethodDelete, pattern: credentialsPath + "/{credential}", name: "DeleteAccessCredential", about: aCredential, handle: (*API).deleteCredential},
}

// An accessCredential is a credential as it is shown. The secret is in the
// answer that made it and nowhere else.
type accessCredential struct {
	ID          string   `json:"id"`
	Secret      string   `json:"secret,omitempty"`
	Description string   `json:"description"`
	UserID      string   `json:"user_id"`
	UserName    string   `json:"user_name"`
	Use         string   `json:"use"` // all, push, pull
	Scopes      []string `json:"scopes"`
	State       string   `json:"state"`
	Created     stamp    `json:"created_at"`
	Expires     *stamp   `json:"expires_at"`
	Used        *stamp   `json:"last_used_at"`
}

// useAll is how the absence of a limit is spelled.
const useAll = "all"

func (a *API) credentialOf(c iam.Credential) accessCredential {
	out := accessCredential{ID: c.ID, Secret: c.Secret, Description: c.Description, UserID: c.User, UserName: c.UserName,
		Use: string(c.Limits.Only), Scopes: c.Limits.In, State: c.State(a.now()), Created: stamp(c.Created), Expires: stampOrNull(c.Expires), Used: stampOrNull(c.Used)}
	if c.Limits.Only == iam.AnyUse {
		out.Use = useAll
	}
	if out.Scopes == nil {
		out.Scopes = []string{}
	}
	return out
}

func stampOrNull(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

func (a *API) createCredential(c *call) error {
	var in struct {
		Description string   `json:"description"`
		Expires     string   `json:"expires"`
		Use         string   `json:"use"`
		Scopes      []string `json:"scopes"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	expires, err := iam.ParseExpiry(in.Expires)
	if err != nil {
		return err
	}
	if in.Use == useAll {
		in.Use = ""
	}
	made, err := a.iam.AddCredential(c.r.Context(), c.who, iam.UserRef{ID: c.who.User}, iam.NewCredential{
		Description: in.Description, Expires: expires, Limits: iam.Limits{Only: iam.Use(in.Use), In: in.Scopes},
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-store")
	return c.created(a.credentialOf(made))
}

// listCredentials lists the caller's own, those of a user, or page by page
// those of the account.
func (a *API) listCredentials(c *call) error {
	all, err := c.flag("all")
	if err != nil {
		return err
	}
	out := struct {
		Credentials []accessCredential `json:"credentials"`
		NextMarker  string             `json:"next_marker,omitempty"`
	}{}
	var list []iam.Credential
	switch user := c.query.Get("user_id"); {
	case all && user != "":
		return fault.New(fault.PageInvalid, "all and user_id exclude each other.")
	case all:
		n, err := digits("limit", c.query.Get("limit"))
		if err != nil {
			return err
		}
		if n == 0 || n > maxLimit {
			n = unpaged
		}
		p, err := a.iam.AccountCredentials(c.r.Context(), c.who, "", c.query.Get("marker"), n)
		if err != nil {
			return err
		}
		if list = p.Items; p.More {
			out.NextMarker = list[len(list)-1].ID
		}
	default:
		if user == "" {
			user = c.who.User
		}
		if list, err = a.iam.CredentialsOf(c.r.Context(), c.who, iam.UserRef{ID: user}); err != nil {
			return err
		}
	}
	out.Credentials = make([]accessCredential, len(list))
	for i, one := range list {
		out.Credentials[i] = a.credentialOf(one)
	}
	return c.ok(out)
}

func (a *API) showCredential(c *call) error {
	one, err := a.iam.Credential(c.r.Context(), c.who, c.path["credential"])
	if err != nil {
		return err
	}
	return c.ok(a.credentialOf(one))
}

func (a *API) updateCredential(c *call) error {
	var in struct {
		Enabled     *bool   `json:"enabled"`
		Description *string `json:"description"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Enabled == nil && in.Description == nil {
		return missing("enabled")
	}
	one, err := a.iam.ChangeCredential(c.r.Context(), c.who, c.path["credential"], iam.CredentialChange{Enabled: in.Enabled, Description: in.Description})
	if err != nil {
		return err
	}
	return c.ok(a.credentialOf(one))
}

func (a *API) deleteCredential(c *call) error {
	if err := a.iam.DeleteCredential(c.r.Context(), c.who, c.path["credential"]); err != nil {
		return err
	}
	return c.noContent()
}
