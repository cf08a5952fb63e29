package swrapi

import (
	"encoding/base64"
	"net/http"
	"time"

	"berth.dev/berth/internal/iam"
)

// Both operations do the same. The second one came later, with lives of its own
// where the first had none.
var loginRoutes = []route{
	{method: http.MethodPost, pattern: "/v2/manage/utils/secret", name: "CreateSecret", do: iam.CreateLogin, about: aLogin, handle: (*API).createLogin},
	{method: http.MethodPost, pattern: "/v2/manage/utils/authorizationtoken", name: "CreateAuthorizationToken", do: iam.CreateLogin, about: aLogin, handle: (*API).createLogin},
}

// dockerAuths is the body: what belongs into the file of docker's credentials.
type dockerAuths struct {
	Auths map[string]dockerAuth `json:"auths"`
}

type dockerAuth struct {
	Auth string `json:"auth"`
}

// createLogin makes a login that ends by itself. Clients take the command from
// a header, and cut it at its blanks.
func (a *API) createLogin(c *call) error {
	l, err := a.iam.CreateLogin(c.r.Context(), c.who, c.query.Get("projectname"), a.loginLife)
	if err != nil {
		return err
	}
	registry := a.registryHost(c)
	h := c.w.Header()
	h.Set("X-Swr-Dockerlogin", "docker login -u "+l.User+" -p "+l.Password+" "+registry)
	h.Set("X-Swr-Expireat", l.Expires.UTC().Format(time.RFC3339))
	h.Set("Cache-Control", "no-store")
	auth := base64.StdEncoding.EncodeToString([]byte(l.User + ":" + l.Password))
	return c.ok(dockerAuths{map[string]dockerAuth{registry: {auth}}})
}
