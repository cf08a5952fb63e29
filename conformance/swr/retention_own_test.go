package swr

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// What a policy would do is what it then does, and how it did it is shown.
func TestRetentionActs(t *testing.T) {
	each(t, func(f *fixture) {
		c := f.withKey(f.admin)
		c.organization()
		for i := range 4 {
			f.push("app", fmt.Sprint("v", i), 100)
		}
		at := c.at("/repos/app/retentions")
		policy := `{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":"1"},"tag_selectors":[{"kind":"label","pattern":"v0"}]}]}`
		_, body := c.do("POST", at+"/simulate", policy, true, 200)
		var plan struct {
			Tags []struct{ Tag, Decision, Action string }
		}
		if err := json.Unmarshal(body, &plan); err != nil || len(plan.Tags) != 4 {
			f.Errorf("%v: %s", err, body)
		}
		_, body = c.do("POST", at, policy, true, 201)
		var made struct{ ID int64 }
		if err := json.Unmarshal(body, &made); err != nil {
			f.Fatalf("%v: %s", err, body)
		}
		one := fmt.Sprint(at, "/", made.ID)
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			_, body := c.do("GET", c.at("/repos/app/tags"), "", true, 200)
			var tags []struct{ Tag string }
			if err := json.Unmarshal(body, &tags); err != nil {
				f.Fatalf("%v: %s", err, body)
			}
			if len(tags) == 2 { // the newest, and the exception
				break
			}
			if time.Now().After(end) {
				f.Fatalf("the policy did not act: %s", body)
			}
		}
		c.do("GET", one+"/status", "", true, 200)
		c.do("POST", one+"/confirm", "", true, 200) // it does not wait
		c.do("GET", at+"/histories", "", true, 200)
	})
}
