package swr

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Webhooks of an organization and of a repository, from their making to their
// end, with what was delivered to them.
func TestWebhooks(t *testing.T) {
	each(t, func(f *fixture) {
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "thank you") }))
		f.Cleanup(receiver.Close)
		c := f.withKey(f.admin)
		c.organization()
		f.push("app", "v0", 100)
		for _, place := range []string{c.at("/webhooks"), c.at("/repos/app/webhooks")} {
			c.want(place, `{"webhooks":[]}`)
			c.do("POST", place, `{"name":"ci","url":"http://[fe80::1]/","events":["push"]}`, false, 400)
			c.do("POST", place, `{"name":"ci","url":"`+receiver.URL+`"}`, false, 400)
			c.do("POST", place, `{"name":"ci","url":"`+receiver.URL+`","events":["pushed"]}`, false, 400)
			_, body := c.do("POST", place, `{"name":"ci","url":"`+receiver.URL+`","events":["push"],"tag_pattern":"^v"}`, true, 201)
			var made struct {
				ID     int64
				Secret string
			}
			if err := json.Unmarshal(body, &made); err != nil || !strings.HasPrefix(made.Secret, "whsec_") {
				f.Fatalf("%v: %s", err, body)
			}
			c.do("POST", place, `{"name":"ci","url":"`+receiver.URL+`","events":["push"]}`, false, 409)
			one := fmt.Sprint(place, "/", made.ID)
			if _, body := c.do("GET", one, "", true, 200); strings.Contains(string(body), "secret") {
				f.Errorf("the secret is shown again: %s", body)
			}
			tag := "v" + fmt.Sprint(made.ID)
			f.push("app", tag, 100)

			type delivery struct{ ID, Event, Tag, State string }
			find := func(event, tag string) (d delivery) {
				f.Helper()
				for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
					_, body := c.do("GET", one+"/deliveries?limit=10", "", true, 200)
					var list struct{ Deliveries []delivery }
					if err := json.Unmarshal(body, &list); err != nil {
						f.Fatalf("%v: %s", err, body)
					}
					for _, d := range list.Deliveries {
						if d.Event == event && d.Tag == tag && d.State == "delivered" {
							return d
						}
					}
					if time.Now().After(end) {
						f.Fatalf("no %s of %q was delivered: %s", event, tag, body)
					}
				}
			}
			d := find("push", tag)
			_, body = c.do("GET", one+"/deliveries/"+d.ID, "", true, 200)
			for _, want := range []string{`"body":"thank you"`, `"Webhook-Id":["` + d.ID + `"]`, `"dev.berth.image.pushed"`, `"status":200`} {
				if !strings.Contains(string(body), want) {
					f.Errorf("the delivery does not show %s: %s", want, body)
				}
			}
			c.do("POST", one+"/deliveries/"+d.ID+"/redeliver", "", true, 202)
			find("push", tag)
			c.do("POST", one+"/test", "", true, 202)
			find("ping", "")
			c.do("PATCH", one, `{"enabled":false,"events":["push","delete"]}`, true, 200)
			if _, body := c.do("GET", one, "", true, 200); !strings.Contains(string(body), `"events":["push","delete"]`) || !strings.Contains(string(body), `"enabled":false`) {
				f.Errorf("%s", body)
			}
			c.do("DELETE", one, "", false, 204)
			c.gone(one)
		}
	})
}
