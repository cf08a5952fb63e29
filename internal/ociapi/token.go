package ociapi

import (
	"mime"
	"net/http"
	"net/url"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/web"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 64 << 10

// tokenAnswer has the members of both token protocols.
type tokenAnswer struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	IssuedAt     string `json:"issued_at"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// TokenHandler is the token endpoint, to be mounted at TokenPath: GET with
// Basic or without credentials (docker token authentication), and POST of a
// form (its OAuth 2 variant).
func (a *API) TokenHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Of(w).Serve(a.token)
		c := &call{w: w, r: r, basic: true}
		if err := a.answerToken(c); err != nil {
			a.fail(c, err)
		}
	})
}

func (a *API) answerToken(c *call) error {
	var q url.Values
	var err error
	offline := false
	switch c.r.Method {
	case http.MethodGet:
		if q, err = c.query(); err != nil {
			return err
		}
		if len(c.r.Header["Authorization"]) > 0 {
			c.who, err = a.basic(c)
		}
		offline = q.Get("offline_token") == "true"
	case http.MethodPost:
		if q, err = c.form(); err != nil {
			return err
		}
		c.who, err = a.exchange(c, q)
		offline = q.Get("access_type") == "offline"
	default:
		const allow = "GET, POST"
		return fault.New(fault.Unsupported, "A token is fetched with GET or POST.").With(allow)
	}
	if err != nil {
		return err
	}
	web.Of(c.w).Caller(c.who)
	return a.issue(c, q["scope"], offline)
}

// exchange logs in by the credential in a form (RFC 6749, sections 4.3 and 6).
func (a *API) exchange(c *call, form url.Values) (iam.Caller, error) {
	switch form.Get("grant_type") {
	case "password":
		return a.iam.Password(c.ctx(), form.Get("username"), form.Get("password"), a.origin.Client(c.r))
	case "refresh_token":
		return a.iam.Refresh(c.ctx(), form.Get("refresh_token"))
	}
	return iam.Caller{}, fault.New(fault.Invalid, "The grant_type is password or refresh_token.")
}

func (a *API) issue(c *call, scopes []string, offline bool) error {
	wanted, err := parseScopes(scopes)
	if err != nil {
		return err
	}
	access, err := a.granted(c, wanted)
	if err != nil {
		return err
	}
	t, err := a.iam.Issue(c.ctx(), c.who, access)
	if err != nil {
		return err
	}
	answer := tokenAnswer{Token: t.Value, AccessToken: t.Value, ExpiresIn: int64(t.Life / time.Second), IssuedAt: t.Issued.UTC().Format(time.RFC3339)}
	if offline && !c.who.Anonymous() {
		if answer.RefreshToken, err = a.iam.IssueRefresh(c.ctx(), c.who); err != nil {
			return err
		}
	}
	c.w.Header()["Cache-Control"] = noStore
	web.WriteJSON(c.w, http.StatusOK, answer)
	return nil
}

var noStore = []string{"no-store"}

// form reads the body of a POST. Errors: fault.Invalid, fault.TooLarge.
func (c *call) form() (url.Values, error) {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, fault.New(fault.Invalid, "The body is a form: application/x-www-form-urlencoded.")
	}
	b, err := web.ReadBody(c.r, maxForm)
	if err != nil {
		return nil, err
	}
	q, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, fault.New(fault.Invalid, "The form is malformed.")
	}
	return q, nil
}
