package server

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"berth.dev/berth/internal/iamapi"
)

// askers of the identity API are about the user nobody: nobody himself, a user
// of the same account, its administrator, and the administrator of another.
var askers = []string{"anonymous", "stranger", "reader", "nobody", "admin"}

// identityRow says how each of the askers is answered. Those of another account
// are told the same as of what is not there at all.
type identityRow struct {
	path     string // values for the pattern's names
	body     string
	statuses [5]int // by askers
}

var whoMayIdentity = map[string]identityRow{
	"showVersion": {"", "", [5]int{200, 200, 200, 200, 200}},

	"createToken": {"", noJSON, [5]int{400, 400, 400, 400, 400}}, // everyone may log in
	"showToken":   {"", "", [5]int{401, 404, 403, 200, 200}},
	"checkToken":  {"", "", [5]int{401, 404, 403, 200, 200}},
	"deleteToken": {"", "", [5]int{401, 404, 403, 0, 0}}, // it would be gone

	"listOwnProjects": {"", "", [5]int{401, 200, 200, 200, 200}},
	"listProjects":    {"", "", [5]int{401, 200, 200, 200, 200}},
	"showProject":     {"", "", [5]int{401, 404, 200, 200, 200}},
	"listDomains":     {"", "", [5]int{401, 200, 200, 200, 200}},

	// The administrator is one of the first account, and so of the installation.
	"listAllDomains": {"", "", [5]int{401, 403, 403, 403, 200}},
	"createDomain":   {"", `{"domain":{"name":"other"}}`, [5]int{401, 403, 403, 403, 409}},
	"showDomain":     {"", "", [5]int{401, 403, 200, 200, 200}}, // everybody his own
	"updateDomain":   {"", `{"domain":{"enabled":true}}`, [5]int{401, 403, 403, 403, 200}},
	"deleteDomain":   {"", "", [5]int{401, 403, 403, 403, 405}},

	"listRoles":     {"", "", [5]int{401, 200, 200, 200, 200}},
	"showRole":      {"", "", [5]int{401, 200, 200, 200, 200}},
	"listUserRoles": {"", "", [5]int{401, 403, 403, 200, 200}},
	"checkUserRole": {"", "", [5]int{401, 403, 403, 404, 404}}, // it is no administrator
	"assignRole":    {"", "", [5]int{401, 403, 403, 403, 0}},
	"removeRole":    {"", "", [5]int{401, 403, 403, 403, 204}},

	"listUsers":        {"", "", [5]int{401, 200, 200, 200, 200}}, // of oneself, or as an administrator
	"showKeystoneUser": {"", "", [5]int{401, 404, 403, 200, 200}},
	"showUser":         {"", "", [5]int{401, 404, 403, 200, 200}},
	"deleteUser":       {"", "", [5]int{401, 404, 403, 403, 0}},
	"changePassword":   {"", `{"user":{"original_password":"x","password":"another horse battery"}}`, [5]int{401, 403, 403, 401, 403}},
	"createUser":       {"", `{"user":{"name":"reader"}}`, [5]int{401, 0, 403, 403, 409}},
	"updateUser":       {"", `{"user":{"enabled":true}}`, [5]int{401, 404, 403, 403, 200}},

	"createCredential":    {"", `{"credential":{"user_id":"USER"}}`, [5]int{401, 404, 403, 0, 0}},
	"listCredentials":     {"user", "", [5]int{401, 404, 403, 200, 200}},
	"showCredential":      {"", "", [5]int{401, 404, 404, 200, 200}}, // a key that is deleted is asked for once more
	"updateCredential":    {"", `{"credential":{"description":"x"}}`, [5]int{401, 404, 404, 200, 200}},
	"deleteCredential":    {"", "", [5]int{401, 404, 404, 0, 0}},
	"createSecurityToken": {"", noJSON, [5]int{401, 400, 400, 400, 400}},
}

// identityRoles compares each route of the identity API with the table. A
// status of 0 is not asked for: it would change what the others ask about.
func identityRoles(t *testing.T, w *town) {
	nobody := w.callers["nobody"]
	key, err := w.core.iam.CreateKey(t.Context(), w.callers["admin"], "", "nobody", "")
	w.must(err)
	subject := w.tokens["nobody"]
	served := map[string]bool{}
	for _, rt := range iamapi.Routes() {
		served[rt.Name] = true
		row, ok := whoMayIdentity[rt.Name]
		if !ok {
			t.Errorf("the table does not say who may %s", rt.Name)
			continue
		}
		path := strings.NewReplacer("{project_id}", w.project["nobody"], "{user_id}", nobody.User, "{domain_id}", nobody.Account, "{role_id}", "0", "{access_key}", key.Access).Replace(rt.Pattern)
		if row.path == "user" {
			path += "?user_id=" + nobody.User
		}
		for i, asker := range askers {
			want := row.statuses[i]
			if want == 0 {
				continue
			}
			r := httptest.NewRequestWithContext(t.Context(), rt.Method, "http://registry.example"+path, strings.NewReader(strings.ReplaceAll(row.body, "USER", nobody.User)))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Subject-Token", subject)
			if asker != "anonymous" {
				r.Header.Set("X-Auth-Token", w.tokens[asker])
			}
			rec := httptest.NewRecorder()
			w.web.ServeHTTP(rec, r)
			if rec.Code != want {
				t.Errorf("%s %s as %s: %d, want %d\n%.300s", rt.Name, path, asker, rec.Code, want, rec.Body)
			}
			if rec.Code >= 400 && rt.Method != "HEAD" {
				var e struct {
					Error     struct{ Code int }
					ErrorCode string `json:"error_code"`
				}
				if json.Unmarshal(rec.Body.Bytes(), &e) != nil || e.Error.Code != rec.Code || e.ErrorCode == "" {
					t.Errorf("%s as %s: the error is %s", rt.Name, asker, rec.Body)
				}
			}
			if asker == "stranger" && rec.Code < 400 && strings.Contains(rec.Body.String(), "nobody") {
				t.Errorf("%s tells a stranger of nobody: %s", rt.Name, rec.Body)
			}
			if asker == "reader" && rt.Name == "listUsers" && strings.Contains(rec.Body.String(), "nobody") {
				t.Errorf("a user sees another: %s", rec.Body)
			}
		}
	}
	for name := range whoMayIdentity {
		if !served[name] {
			t.Errorf("the table has %s, which is not served", name)
		}
	}
}
