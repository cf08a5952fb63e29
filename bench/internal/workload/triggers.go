package workload

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
	"berth.dev/berth/bench/internal/target"
)

// manyTriggers is how many wait for each push.
const manyTriggers = 10

// triggers times pushes of small images into a repository with ten triggers
// that match every tag, and into one with none. The cluster is an address that
// answers at once, so that as much as can be is done beside the pushes.
func triggers(s *Session) error {
	if len(s.Target.Accounts) == 0 {
		return nil
	}
	token, err := login(s.Target.URL, target.Account{Name: s.Target.User, User: s.Target.User, Password: s.Target.Password})
	if err != nil {
		return err
	}
	cluster := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","reason":"NotFound","message":"not found","code":404}`)
	}))
	defer cluster.Close()
	c := s.New()
	defer c.Close()
	post := func(path string, body map[string]any) error {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		return (&managed{token: token}).post(c, path, string(text))
	}
	name := "bench-" + s.run
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw})
	if err := post("/v2/manage/clusters", map[string]any{"name": name, "server": cluster.URL, "ca": string(ca), "token": "t", "force": true}); err != nil {
		return err
	}
	pushes := func(repo string) func() (float64, error) {
		n := 0
		return func() (float64, error) {
			o := loop(s.Endpoint, 1, s.span(2*time.Second), unlimited, func(c *raw.Client, _ int) error {
				n++
				return pushImage(c, "bench/"+repo, tagName(n), content.Small(s.id("%s%d", repo, n)))
			})
			return o.ms(0.5), o.err
		}
	}
	none, ten := pushes(s.run+"-none"), pushes(s.run+"-ten")
	for _, first := range []func() (float64, error){none, ten} { // which makes the repositories
		if _, err := first(); err != nil {
			return err
		}
	}
	for i := range manyTriggers {
		if err := post("/v2/manage/namespaces/bench/repos/"+s.run+"-ten/triggers", map[string]any{"name": fmt.Sprint("t", i), "action": "update", "app_type": "deployments",
			"application": "web", "cluster_name": name, "cluster_ns": "default", "condition": ".*", "trigger_type": "all", "enable": "true"}); err != nil {
			return err
		}
	}
	got, err := interleave(2*s.Rounds, true, competitor{"10 triggers", ten}, competitor{"no trigger", none})
	if err != nil {
		return err
	}
	s.record("push p50, 10 triggers", "ms", got[0], result.Lower)
	s.record("push p50, no trigger", "ms", got[1], result.Lower)
	return nil
}
