package swr

import (
	"encoding/json"
	"net/http"
	"testing"
)

// An organization that becomes public lets everyone pull, and keeps everyone
// out again with the request after it became private.
func TestVisibility(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		f.push("app", "v1", 100)
		anonymous := func(want int) {
			f.Helper()
			resp, err := f.client().Get(f.URL() + "/auth/token?scope=repository:" + f.repo("app") + ":pull")
			if err != nil {
				f.Fatal(err)
			}
			token := tokenOf(f.T, resp)
			r, err := http.NewRequestWithContext(f.Context(), http.MethodGet, f.URL()+"/v2/"+f.repo("app")+"/manifests/v1", nil)
			if err != nil {
				f.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			if resp, err = f.client().Do(r); err != nil {
				f.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				f.Errorf("an anonymous pull: %d, want %d", resp.StatusCode, want)
			}
		}
		anonymous(401)
		c.do("PATCH", c.at(""), `{"is_public":true,"description":"for all"}`, true, 200)
		anonymous(200)
		c.want(c.at(""), `{"id":"<int>","name":"`+c.org+`","creator_name":"admin","auth":7,"description":"for all","is_public":true}`)
		f.withKey(f.user("reader")).do("PATCH", c.at(""), `{"is_public":false}`, false, 403)
		c.do("PATCH", c.at(""), `{"is_public":"no"}`, false, 400)
		c.do("PATCH", c.at(""), `{"is_public":false}`, true, 200)
		anonymous(401)
	})
}

// tokenOf reads the answer of the token endpoint.
func tokenOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return answer.Token
}
