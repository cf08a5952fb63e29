package swr

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// An access credential from its creation to its end, by the API.
func TestAccessCredentials(t *testing.T) {
	each(t, func(f *fixture) {
		reader := f.user("reader")
		c, as := f.withKey(f.admin), f.withKey(reader)
		const all = "/v2/manage/credentials"
		_, body := as.do("POST", all, `{"description":"for CI","expires":"1h","use":"pull"}`, true, 201)
		var made struct{ ID, Secret string }
		if err := json.Unmarshal(body, &made); err != nil || !strings.HasPrefix(made.Secret, "berth_"+made.ID) {
			f.Fatalf("%v: %s", err, body)
		}
		one := all + "/" + made.ID
		shown := func(state, used string) string {
			return `{"id":"` + made.ID + `","description":"for CI","user_id":"` + reader.User + `","user_name":"` + reader.UserName + `","use":"pull","scopes":[],
				"state":"` + state + `","created_at":"<time>","expires_at":"<time>","last_used_at":` + used + `}`
		}
		as.want(one, shown("enabled", "null"))
		as.want(all, `{"credentials":[`+shown("enabled", "null")+`]}`)
		c.want(all+"?user_id="+reader.User, `{"credentials":[`+shown("enabled", "null")+`]}`)
		c.do("GET", all+"?all=true", "", true, 200)
		as.do("GET", all+"?all=true", "", false, 403)
		f.withKey(f.partner).do("GET", one, "", false, 404)
		as.do("POST", all, `{"expires":"soon"}`, false, 400)

		bearer := func(want int) {
			f.Helper()
			r, err := http.NewRequestWithContext(f.Context(), http.MethodGet, f.URL()+"/v2/manage/repos", nil)
			if err != nil {
				f.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+made.Secret)
			resp, err := f.client().Do(r)
			if err != nil {
				f.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				f.Errorf("the credential: %d, want %d", resp.StatusCode, want)
			}
		}
		bearer(200)
		as.want(one, shown("enabled", `"<time>"`))
		c.do("PATCH", one, `{"enabled":false}`, true, 200)
		bearer(401)
		as.do("PATCH", one, `{"enabled":true,"description":"for CI"}`, true, 200)
		bearer(200)
		as.do("PATCH", one, `{}`, false, 400)
		as.do("DELETE", one, "", false, 204)
		bearer(401)
		c.do("DELETE", one, "", false, 404)
	})
}
