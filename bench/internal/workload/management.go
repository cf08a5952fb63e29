package workload

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
	"berth.dev/berth/bench/internal/target"
)

const (
	smallAccount = 100     // repositories
	largeAccount = 100_000 // in a thousand organizations
	perOrg       = 100
	tagsEach     = 10
)

// managed is an account with repositories that is asked by the management API.
type managed struct {
	s     *Session
	name  string // what its organizations are called
	token string
	push  *raw.Endpoint
	api   *raw.Endpoint
	n     int
}

// management times lists and single answers in an account of 100 repositories and in one
// of 100,000 with a million tags.
func management(s *Session) error {
	if len(s.Target.Accounts) < 2 {
		return nil
	}
	if err := s.Target.MakeAccounts(); err != nil {
		return err
	}
	var small, large *managed
	var err error
	if small, err = s.manage(s.Target.Accounts[0], smallAccount); err != nil {
		return err
	}
	if large, err = s.manage(s.Target.Accounts[1], s.wanted(largeAccount, s.Target.Scale.Repositories)); err != nil {
		return err
	}
	for _, what := range []struct {
		name string
		path func(*managed) string
	}{
		{"repositories", func(m *managed) string { return "/v2/manage/repos?limit=100&offset=0" }},
		{"of an organization", func(m *managed) string { return "/v2/manage/repos?limit=100&offset=0&namespace=" + m.org(0) }},
		{"of a category", func(m *managed) string { return "/v2/manage/repos?limit=10&offset=0&category=linux" }},
		{"public", func(m *managed) string { return "/v2/manage/repos?limit=10&offset=0&is_public=true" }},
		{"by name", func(m *managed) string {
			return "/v2/manage/repos?filter=limit::100%7Coffset::0%7Corder_column::name%7Corder_type::asc"
		}},
		{"v3", func(m *managed) string { return "/v3/manage/repos?limit=100" }},
		{"show", func(m *managed) string { return "/v2/manage/namespaces/" + m.org(0) + "/repos/" + m.repo(0) }},
		{"tags", func(m *managed) string {
			return "/v2/manage/namespaces/" + m.org(0) + "/repos/" + m.repo(0) + "/tags?limit=10&offset=0"
		}},
		{"show tag", func(m *managed) string {
			return "/v2/manage/namespaces/" + m.org(0) + "/repos/" + m.repo(0) + "/tags/" + tagName(0)
		}},
		{"organization", func(m *managed) string { return "/v2/manage/namespaces?namespace=" + m.org(0) }},
	} {
		rates, err := interleave(s.Rounds, false,
			competitor{what.name, func() (float64, error) { return large.rate(what.path(large)) }},
			competitor{what.name + ", 100", func() (float64, error) { return small.rate(what.path(small)) }})
		if err != nil {
			s.failed(what.name, err)
			continue
		}
		s.record(what.name, "req/s", rates[0], result.Higher)
		s.record(what.name+", 100", "req/s", rates[1], result.Higher)
	}
	middle := fmt.Sprintf("%06d", large.n/2)
	for _, what := range []struct{ name, path string }{
		{"search p99", "/v2/manage/repos?limit=100&offset=0&name=" + middle[1:]},
		{"deep offset p99", fmt.Sprintf("/v2/manage/repos?limit=100&offset=%d", large.n*9/10)},
	} {
		o := loop(large.api, 2, s.span(5*time.Second), unlimited, func(c *raw.Client, _ int) error { return large.get(c, what.path) })
		if o.err != nil {
			s.failed(what.name, o.err)
			continue
		}
		s.record(what.name, "ms", o.ms(0.99), result.Lower)
	}
	return nil
}

func (m *managed) org(i int) string  { return fmt.Sprintf("%s-%04d", m.name, i) }
func (m *managed) repo(i int) string { return fmt.Sprintf("app%06d", i) }

// manage logs in to an account and fills it up to n repositories. One of ten is public and
// of another category; each has ten tags on one manifest.
func (s *Session) manage(a target.Account, n int) (*managed, error) {
	m := &managed{s: s, name: a.Name + "-" + s.run}
	var err error
	if m.token, err = login(s.Target.URL, a); err != nil {
		return nil, err
	}
	if m.api, err = raw.NewEndpoint(s.Target.URL, "", ""); err != nil {
		return nil, err
	}
	if m.push, err = raw.NewEndpoint(s.Target.URL, a.Name+"/"+a.User, a.Password); err != nil {
		return nil, err
	}
	m.push.Basic = true
	index, tags := content.Index(s.run), ""
	for i := range tagsEach {
		tags += "&tag=" + tagName(i)
	}
	o := loop(m.api, 8, s.Seed, (n+perOrg-1)/perOrg, func(c *raw.Client, i int) error {
		return m.post(c, "/v2/manage/namespaces", `{"namespace":"`+m.org(i)+`"}`)
	})
	if o.err == nil {
		o = loop(m.push, 16, s.Seed, n, func(c *raw.Client, i int) error {
			if i%10 == 0 {
				if err := m.post(c, "/v2/manage/namespaces/"+m.org(i/perOrg)+"/repos", `{"repository":"`+m.repo(i)+`","is_public":true,"category":"linux"}`); err != nil {
					return err
				}
			}
			return putManifest(c, m.org(i/perOrg)+"/"+m.repo(i), tagName(0)+"?"+tags[1:], content.TypeIndex, index)
		})
	}
	if m.n = o.n; o.err == nil && m.n < n {
		o.err = fmt.Errorf("only %d of %d repositories within %s", m.n, n, s.Seed)
	}
	return m, o.err
}

// login fetches a token of the management API.
func login(base string, a target.Account) (string, error) {
	body := fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"password":%q,"domain":{"name":%q}}}},"scope":{"domain":{"name":%q}}}}`,
		a.User, a.Password, a.Name, a.Name)
	r, err := http.Post(base+"/v3/auth/tokens", "application/json", bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil && r.StatusCode != http.StatusCreated {
		err = fmt.Errorf("login to %s: status %d %.200s", a.Name, r.StatusCode, text)
	}
	return r.Header.Get("X-Subject-Token"), err
}

func (m *managed) post(c *raw.Client, path, body string) error {
	r, err := c.Once(&raw.Request{Method: "POST", Path: path, ContentType: "application/json", Body: []byte(body), Token: m.token, Keep: true})
	if err == nil && r.Status != 201 {
		err = fmt.Errorf("POST %s: status %d %.200s", path, r.Status, r.Body)
	}
	return err
}

func (m *managed) get(c *raw.Client, path string) error {
	r, err := c.Once(&raw.Request{Method: "GET", Path: path, Token: m.token})
	if err == nil && r.Status != 200 {
		err = fmt.Errorf("GET %s: status %d %.200s", path, r.Status, r.Body)
	}
	return err
}

// rate is how many requests a second 16 clients get answered.
func (m *managed) rate(path string) (float64, error) {
	o := loop(m.api, 16, m.s.span(time.Second), unlimited, func(c *raw.Client, _ int) error { return m.get(c, path) })
	return o.rate(), o.err
}
