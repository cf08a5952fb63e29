package swrapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// make creates a credential and returns its id and secret.
func (w *world) credential(as, body string) (id, secret string) {
	w.t.Helper()
	rec := w.send(as, "POST /v2/manage/credentials", body)
	var out struct{ ID, Secret string }
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != http.StatusCreated || out.ID == "" {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec.Header().Get("Cache-Control") != "no-store" {
		w.t.Error("the secret may be stored on its way")
	}
	return out.ID, out.Secret
}

func TestCredentials(t *testing.T) {
	w := open(t, options{})
	const all = "/v2/manage/credentials"
	shown := func(name, more string) string {
		return `{"id":"*","user_id":"` + w.users[name].User + `","user_name":"` + name + `","created_at":"*",` + more + `}`
	}
	w.want("reader", "POST "+all, `{"description":"for CI","expires":"1h"}`, 201,
		shown("reader", `"secret":"*","description":"for CI","use":"all","scopes":[],"state":"enabled","expires_at":"*","last_used_at":null`))
	id, secret := w.credential("reader", `{"use":"pull","scopes":["acme/app","acme/app"],"expires":"30m"}`)
	one := all + "/" + id
	row := func(state, used string) string {
		return shown("reader", `"description":"","use":"pull","scopes":["acme/app"],"state":"`+state+`","expires_at":"*","last_used_at":`+used)
	}
	w.want("reader", "GET "+one, nil, 200, row("enabled", "null"))
	w.want("admin", "GET "+one, nil, 200, row("enabled", "null"))
	w.refused("writer", "GET "+one, nil, 403, "4039002")
	w.refused("stranger", "GET "+one, nil, 404, "4040113")
	w.refused("stranger", "DELETE "+one, nil, 404, "4040113")
	w.refused("admin", "GET "+all+"/000000000000", nil, 404, "4040113")
	w.want("reader", "GET "+all, nil, 200, `{"credentials":[`+row("enabled", "null")+`,"*"]}`)
	w.want("writer", "GET "+all, nil, 200, `{"credentials":[]}`)
	w.want("admin", "GET "+all+"?user_id="+w.users["reader"].User, nil, 200, `{"credentials":["*","*"]}`)
	w.refused("writer", "GET "+all+"?user_id="+w.users["reader"].User, nil, 403, "4039002")
	w.want("admin", "GET "+all+"?all=true&limit=1", nil, 200, `{"credentials":["*"],"next_marker":"*"}`)
	w.refused("reader", "GET "+all+"?all=true", nil, 403, "4039002")
	w.want("stranger", "GET "+all+"?all=true", nil, 200, `{"credentials":[]}`)
	w.refused("admin", "GET "+all+"?all=maybe", nil, 400, "4001025")
	w.refused("admin", "GET "+all+"?all=true&marker=x", nil, 400, "4001025")
	w.refused("admin", "GET "+all+"?all=true&user_id=x", nil, 400, "4001025")

	for _, bad := range []string{`{"expires":"1d"}`, `{"expires":"never"}`, `{"expires":"9000h"}`, `{"use":"delete"}`, `{"scopes":["Acme"]}`, `{"description":"` + strings.Repeat("x", 256) + `"}`} {
		w.refused("reader", "POST "+all, bad, 400, "4000014")
	}
	w.refused("reader", "POST "+all, `{"scopes":"acme"}`, 400, "4001018")
	w.refused("reader", "POST "+all, nil, 400, "4001018")

	// It is the token of its user, within its limits, and says what is wrong.
	w.push("acme/app", "layer", "v1")
	w.token["ci"] = secret
	w.want("ci", "GET /v2/manage/namespaces/acme/repos/app/tags", nil, 200, `"*"`)
	w.refused("ci", "GET /v2/manage/namespaces/acme", nil, 403, "4039002")
	w.refused("ci", "POST "+all, `{}`, 403, "4039002")
	w.refused("ci", "GET "+all, nil, 403, "4039002")
	w.want("reader", "GET "+one, nil, 200, row("enabled", `"*"`))
	w.refused("reader", "PATCH "+one, `{}`, 400, "4001014")
	w.refused("reader", "PATCH "+one, `{"enabled":"no"}`, 400, "4001018")
	w.want("reader", "PATCH "+one, `{"enabled":false}`, 200, row("disabled", `"*"`))
	w.refused("ci", "GET /v2/manage/namespaces/acme/repos/app/tags", nil, 401, "4010000")
	w.want("reader", "PATCH "+one, `{"enabled":true}`, 200, row("enabled", `"*"`))
	w.want("ci", "GET /v2/manage/namespaces/acme/repos/app/tags", nil, 200, `"*"`)
	w.later.Add(int64(31 * time.Minute))
	w.want("reader", "GET "+one, nil, 200, row("expired", `"*"`))
	w.refused("ci", "GET /v2/manage/namespaces/acme/repos/app/tags", nil, 401, "4010000")
	w.want("admin", "DELETE "+one, nil, 204, ``)
	w.refused("reader", "GET "+one, nil, 403, "4039002")
}
