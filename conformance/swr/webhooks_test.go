package swr

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A webhook of an organization, and one of a repository, are made, shown,
// tried, changed and deleted; what they sent is shown and sent again.
func TestWebhooks(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		c.push("app", "v1")
		came := make(chan string, 100) // ids
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			came <- r.Header.Get("Webhook-Id")
			_, _ = io.WriteString(w, "thanks")
		}))
		defer receiver.Close()
		arrived := func() string {
			f.Helper()
			select {
			case id := <-came:
				return id
			case <-time.After(time.Minute):
				f.Fatalf("nothing arrives")
				return ""
			}
		}
		for _, all := range []string{c.at("/webhooks"), c.at("/repos/app/webhooks")} {
			c.do("POST", all, `{"name":"ci","events":["push"]}`, false, 400)
			c.do("POST", all, fmt.Sprintf(`{"name":"ci","url":%q,"events":["fetch"]}`, receiver.URL), false, 400)
			c.do("POST", all, fmt.Sprintf(`{"name":"ci","url":%q,"events":["push"],"tag_pattern":"("}`, receiver.URL), false, 400)
			c.do("POST", all, `{"name":"ci","url":"http://169.254.169.254/","events":["push"]}`, false, 400)
			_, body := c.do("POST", all, fmt.Sprintf(`{"name":"ci","url":%q,"events":["push","delete"]}`, receiver.URL), true, 201)
			var made struct {
				ID     int64
				Secret string
			}
			if err := json.Unmarshal(body, &made); err != nil || !strings.HasPrefix(made.Secret, "whsec_") {
				f.Fatalf("%v: %s", err, body)
			}
			c.do("POST", all, fmt.Sprintf(`{"name":"ci","url":%q,"events":["push"]}`, receiver.URL), false, 409)
			one := fmt.Sprintf("%s/%d", all, made.ID)
			_, body = c.do("POST", one+"/test", "", true, 202)
			var ping struct {
				ID string `json:"delivery_id"`
			}
			if err := json.Unmarshal(body, &ping); err != nil || ping.ID != arrived() {
				f.Fatalf("%v: %s", err, body)
			}
			delivery := one + "/deliveries/" + ping.ID
			delivered := func() {
				f.Helper()
				for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
					_, body := c.do("GET", delivery, "", true, 200)
					if strings.Contains(string(body), `"state":"delivered"`) && strings.Contains(string(body), "thanks") {
						return
					}
					if time.Now().After(end) {
						f.Fatalf("%s", body)
					}
				}
			}
			delivered()
			c.do("POST", delivery+"/redeliver", "", true, 202)
			if id := arrived(); id != ping.ID {
				f.Errorf("redelivered as %s, was %s", id, ping.ID)
			}
			delivered()
			for _, path := range []string{all, one, one + "/deliveries?limit=1"} {
				if _, body := c.do("GET", path, "", true, 200); strings.Contains(string(body), made.Secret) {
					f.Errorf("%s shows the secret", path)
				}
			}
			c.do("PATCH", one, `{"enabled":false}`, true, 200)
			c.do("POST", one+"/deliveries/dlv_none/redeliver", "", false, 404)
			c.do("DELETE", one, "", false, 204)
			c.do("GET", one, "", false, 404)
		}
	})
}
