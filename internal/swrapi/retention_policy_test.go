package swrapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

func policyIn(body []byte) (retention.Policy, error) {
	c := &call{r: &http.Request{Header: http.Header{}}, body: body}
	return c.policy()
}

// What is read and makes sense is shown in a form that reads as the same; what
// is not is told to the client as its own mistake.
func FuzzPolicy(f *testing.F) {
	for _, s := range []string{
		`{"algorithm":"or","rules":[{"template":"date_rule","params":{"days":"30"},"tag_selectors":[{"kind":"label","pattern":"v5"},{"kind":"regexp","pattern":"^1<2>3&$"}]}]}`,
		`{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":7}},{"template":"date_rule","params":{"days":"0007"},"tag_selectors":null}]}`,
		`{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":1e2}}]}`, `{"algorithm":"or","rules":[null]}`, `[]`, `{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":"\ud800"}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := policyIn(body)
		if err == nil {
			err = p.Validate(retention.Limits{})
		}
		if err != nil {
			w := wireOf(err)
			if w.status != http.StatusBadRequest {
				t.Fatalf("%s: %d, %v", body, w.status, err)
			}
			return
		}
		text, err := json.Marshal(policyOf(registry.Retention{Policy: p}))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := policyIn(text); err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%s is shown as %s, which reads as %+v: %v", body, text, again, err)
		}
	})
}

// wireOf is the answer to an error on a route about retention.
func wireOf(err error) wire {
	var we *wireError
	if errors.As(err, &we) {
		return wire{codes[we.code].status, we.code}
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return answerOf(aRetention, f)
	}
	return wire{}
}
