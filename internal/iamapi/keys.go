package iamapi

import (
	"net/http"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// Credential is an access key. Its secret is in the answer that made it, and
// nowhere else.
type Credential struct {
	Access      string `json:"access"`
	Secret      string `json:"secret,omitempty"`
	Status      string `json:"status"` // active, inactive
	UserID      string `json:"user_id"`
	CreateTime  string `json:"create_time"`
	Description string `json:"description"`
}

const (
	active   = "active"
	inactive = "inactive"
)

// CredentialRequest creates or changes an access key. Without a user_id it is
// the caller's. Example: {"credential": {"user_id":
// "0123456789abcdef0123456789abcdef", "description": "build server"}}.
type CredentialRequest struct {
	Credential *struct {
		UserID      string  `json:"user_id"`
		Description *string `json:"description"`
		Status      *string `json:"status"`
	} `json:"credential"`
}

func credential(k iam.Key) Credential {
	out := Credential{Access: k.Access, Secret: k.Secret, Status: inactive, UserID: k.User, CreateTime: timeText(k.Created), Description: k.Description}
	if k.Enabled {
		out.Status = active
	}
	return out
}

func renderKey(c *call, status int, k iam.Key) {
	web.WriteJSON(c.w, status, map[string]Credential{"credential": credential(k)})
}

// owner is the user whose keys are meant.
func (c *call) owner(id string) iam.UserRef {
	if id == "" {
		id = c.who.User
	}
	return iam.UserRef{ID: id}
}

func (a *API) createKey(c *call) error {
	var in CredentialRequest
	if err := c.read(&in); err != nil {
		return err
	}
	if in.Credential == nil {
		return missing("the member credential")
	}
	description := ""
	if d := in.Credential.Description; d != nil {
		description = *d
	}
	k, err := a.iam.AddKey(c.ctx(), c.who, c.owner(in.Credential.UserID), description)
	if err != nil {
		return err
	}
	renderKey(c, http.StatusCreated, k)
	return nil
}

func (a *API) listKeys(c *call) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	keys, err := a.iam.KeysOf(c.ctx(), c.who, c.owner(q.Get("user_id")))
	if err != nil {
		return err
	}
	out := make([]Credential, 0, len(keys))
	for _, k := range keys {
		out = append(out, credential(k))
	}
	web.WriteJSON(c.w, http.StatusOK, map[string][]Credential{"credentials": out})
	return nil
}

// others makes the keys of others look like none: a client whose own key was
// deleted asks for it once more, and 404 tells it that the key is gone.
func others(err error) error {
	if fault.Is(err, fault.Denied) {
		return fault.Wrap(fault.KeyUnknown, err, "You have no such access key.")
	}
	return err
}

func (a *API) showKey(c *call) error {
	k, err := a.iam.Key(c.ctx(), c.who, c.id)
	if err != nil {
		return others(err)
	}
	renderKey(c, http.StatusOK, k)
	return nil
}

func (a *API) updateKey(c *call) error {
	var in CredentialRequest
	if err := c.read(&in); err != nil {
		return err
	}
	if in.Credential == nil {
		return missing("the member credential")
	}
	change := iam.KeyChange{Description: in.Credential.Description}
	if s := in.Credential.Status; s != nil {
		on := *s == active
		if !on && *s != inactive {
			return fault.New(fault.Invalid, "The status is %s or %s.", active, inactive)
		}
		change.Enabled = &on
	}
	k, err := a.iam.ChangeKey(c.ctx(), c.who, c.id, change)
	if err != nil {
		return others(err)
	}
	renderKey(c, http.StatusOK, k)
	return nil
}

func (a *API) deleteKey(c *call) error {
	if err := a.iam.DeleteKey(c.ctx(), c.who, c.id); err != nil {
		return others(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// SecurityToken is a temporary access key: requests that it signs carry
// securitytoken in X-Security-Token.
type SecurityToken struct {
	Access    string `json:"access"`
	Secret    string `json:"secret"`
	Token     string `json:"securitytoken"`
	ExpiresAt string `json:"expires_at"`
}

// createSession makes a temporary access key for the caller. A policy that
// would limit it is refused: it would not be kept.
func (a *API) createSession(c *call) error {
	var in TokenRequest
	if len(c.body) > 0 {
		if err := c.read(&in); err != nil {
			return err
		}
	}
	life, who := iam.MinSession, c.who
	if in.Auth != nil && in.Auth.Identity != nil {
		id := in.Auth.Identity
		if id.Policy != nil {
			return fault.New(fault.Unsupported, "A temporary access key has all rights of its user: a policy cannot limit it.")
		}
		if len(id.Methods) > 0 {
			if method, err := in.method(); err != nil || method != byToken {
				return fault.New(fault.Unsupported, "The method of auth.identity is %s.", byToken)
			}
		}
		if id.Token != nil && id.Token.ID != "" {
			other, err := a.iam.APICaller(c.ctx(), id.Token.ID)
			if err != nil && !fault.Is(err, fault.Unauthorized) {
				return err
			}
			if err != nil || other.User != c.who.User {
				return fault.Wrap(fault.Unauthorized, err, "The token in the body is not one of the caller.").With(iam.WrongToken)
			}
			who = who.Beside(other)
		}
		if id.Token != nil && id.Token.Duration != nil {
			life = time.Duration(min(max(*id.Token.Duration, 0), int64(2*iam.MaxSession/time.Second))) * time.Second
		}
	}
	s, err := a.iam.CreateSession(c.ctx(), who, life)
	if err != nil {
		return err
	}
	web.WriteJSON(c.w, http.StatusCreated, map[string]SecurityToken{"credential": {
		Access: s.Access, Secret: s.Secret, Token: s.Token, ExpiresAt: timeText(s.Expires)}})
	return nil
}
