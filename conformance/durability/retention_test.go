package durability

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

// A run of retention that dies with the server again and again goes on with the
// next start: in the end those tags are left that should be, and each of the
// others stands in the log once.
func TestRetentionSurvivesKill(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { retained(t, berthtest.Options{}, 1000) })
	// There the next process waits until the claim of the dead one ends.
	t.Run("postgres", func(t *testing.T) { retained(t, berthtest.Options{Postgres: true}, 1) })
}

func retained(t *testing.T, o berthtest.Options, most int) {
	const tags, stay = 1500, 40
	s := berthtest.Start(t, o)
	org := s.Org(t, "kept")
	admin := s.Admin()
	c, err := wire.New(s.URL(), s.Client(), wire.Basic, admin.User, admin.Password)
	if err != nil {
		t.Fatal(err)
	}
	m := images.New(t.Name()).Image(1, 1000)
	if err := c.Push(t.Context(), org+"/app", "first", m); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < tags; i += 100 {
		var query []string
		for k := range 100 {
			query = append(query, fmt.Sprintf("tag=t%04d", i+k))
		}
		if err := c.PushManifest(t.Context(), org+"/app", m.Digest.String()+"?"+strings.Join(query, "&"), m.Blob); err != nil {
			t.Fatal(err)
		}
	}
	a := &manager{t: t, s: s}
	a.call("POST", "/v2/manage/namespaces/"+org+"/repos/app/retentions",
		fmt.Sprintf(`{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":"%d"},"tag_selectors":[]}]}`, stay), 201, nil)
	kills := 0
	for end := time.Now().Add(2 * time.Minute); ; kills++ {
		var jobs struct{ Jobs []json.RawMessage }
		a.call("GET", "/v2/manage/jobs?kind=retention", "", 200, &jobs)
		if len(jobs.Jobs) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("jobs are left after %d kills: %s", kills, jobs.Jobs)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(60 * time.Millisecond))))
		if kills == most {
			time.Sleep(time.Second)
			kills--
			continue
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}
	var log struct {
		Total int
		Log   []struct{ Tag string } `json:"retention_log"`
	}
	seen := map[string]bool{}
	for offset := 0; ; offset += 1000 {
		log.Log = nil
		a.call("GET", fmt.Sprintf("/v2/manage/namespaces/%s/repos/app/retentions/histories?limit=1000&offset=%d", org, offset), "", 200, &log)
		for _, x := range log.Log {
			if seen[x.Tag] {
				t.Errorf("%s stands in the log twice", x.Tag)
			}
			seen[x.Tag] = true
		}
		if len(log.Log) < 1000 {
			break
		}
	}
	var list struct{ Tags []string }
	r, err := c.Want(t.Context(), 200, wire.Request{Method: "GET", To: "/v2/" + org + "/app/tags/list?n=5000"})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.Body, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Tags) != stay || len(seen) != tags+1-stay || log.Total != len(seen) {
		t.Errorf("%d tags are left, %d stand in the log, which says %d", len(list.Tags), len(seen), log.Total)
	}
	for _, tag := range list.Tags {
		if seen[tag] {
			t.Errorf("%s is there and stands in the log", tag)
		}
	}
	if kills < min(most, 2) {
		t.Errorf("only %d kills while it ran", kills)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Fsck(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills", kills)
}

// manager asks the management API as the administrator.
type manager struct {
	t     *testing.T
	s     *berthtest.Server
	token string
}

// call makes a request, which must have the status, and reads the answer into out.
func (a *manager) call(method, path, body string, status int, out any) {
	a.t.Helper()
	if a.token == "" {
		l := a.s.Admin()
		r, _ := a.send("POST", "/v3/auth/tokens", fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"name":"admin"}}}},"scope":{"domain":{"name":"admin"}}}}`,
			l.User, l.Password))
		a.token = r.Header.Get("X-Subject-Token")
	}
	r, text := a.send(method, path, body)
	if r.StatusCode != status {
		a.t.Fatalf("%s %s: %s %s", method, path, r.Status, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			a.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

func (a *manager) send(method, path, body string) (*http.Response, []byte) {
	a.t.Helper()
	q, err := http.NewRequestWithContext(a.t.Context(), method, a.s.URL()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		a.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("X-Auth-Token", a.token)
	r, err := a.s.Client().Do(q)
	if err != nil {
		a.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		a.t.Fatal(err)
	}
	return r, text
}
