package workload

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

const (
	sweptRepos = 1000
	sweptTags  = 1000 // of each
	tagsPerPut = 10
)

// retentionSweep has the policies of 1,000 repositories look at their 1,000 tags each and
// remove a tenth of them, and pushes small images meanwhile. A policy that is new looks at
// every tag, as the daily sweep does.
func retentionSweep(s *Session) error {
	if len(s.Target.Accounts) < 1 {
		return nil
	}
	if err := s.Target.MakeAccounts(); err != nil {
		return err
	}
	m := &managed{s: s, name: "swept-" + s.run}
	a := s.Target.Accounts[0]
	var err error
	if m.token, err = login(s.Target.URL, a); err != nil {
		return err
	}
	if m.api, err = raw.NewEndpoint(s.Target.URL, "", ""); err != nil {
		return err
	}
	if m.push, err = raw.NewEndpoint(s.Target.URL, a.Name+"/"+a.User, a.Password); err != nil {
		return err
	}
	m.push.Basic = true
	m.n = s.wanted(sweptRepos, s.Target.Scale.Repositories)
	each := max(s.count(sweptTags)/tagsPerPut, 2) * tagsPerPut
	if err := m.fillSwept(each); err != nil {
		return err
	}
	alone := s.smallPushes(nil, "alone")
	if alone.err != nil {
		return alone.err
	}
	body := fmt.Sprintf(`{"algorithm":"or","rules":[{"template":"tag_rule","params":{"num":"%d"},"tag_selectors":[{"kind":"regexp","pattern":"^release-"}]}]}`, each-each/10)
	o := loop(m.api, 4, s.Seed, m.n, func(c *raw.Client, i int) error {
		return m.post(c, "/v2/manage/namespaces/"+m.org(i/perOrg)+"/repos/"+m.repo(i)+"/retentions", body)
	})
	if o.err != nil {
		return o.err
	}
	begun, over, swept := time.Now(), make(chan struct{}), make(chan error, 1)
	var took time.Duration
	go func() {
		defer close(over)
		err := m.drained()
		took = time.Since(begun)
		time.Sleep(time.Until(begun.Add(s.span(time.Second)))) // enough pushes for a figure
		swept <- err
	}()
	beside := s.smallPushes(over, "beside")
	if err := <-swept; err != nil {
		return err
	}
	if beside.err != nil {
		return beside.err
	}
	s.record("tags", "tags/s", float64(m.n*each)/took.Seconds(), result.Higher)
	s.record("seconds", "s", took.Seconds(), result.Lower)
	s.record("push p99, alone", "ms", alone.ms(.99), result.Lower)
	s.record("push p99, beside", "ms", beside.ms(.99), result.Lower)
	s.record("push rate, alone", "images/s", alone.rate(), result.Info)
	s.record("push rate, beside", "images/s", beside.rate(), result.Info)
	s.record("push p99, beside against alone", "x", beside.ms(.99)/alone.ms(.99), result.Lower)
	return nil
}

// smallPushes pushes small images by 8 clients for a while, or until stop is closed.
func (s *Session) smallPushes(stop <-chan struct{}, name string) *outcome {
	d := s.span(10 * time.Second)
	if stop != nil {
		d = s.Seed
	}
	return loopUntil(stop, s.Endpoint, 8, d, unlimited, func(c *raw.Client, i int) error {
		return pushImage(c, s.repo(fmt.Sprintf("swept-%s-%d", name, i%8)), fmt.Sprintf("t%d", i), content.Small(s.id("swept-%s-%d", name, i)))
	})
}

// fillSwept makes the repositories with so many tags each, some of them in one request.
func (m *managed) fillSwept(each int) error {
	o := loop(m.api, 8, m.s.Seed, (m.n+perOrg-1)/perOrg, func(c *raw.Client, i int) error {
		return m.post(c, "/v2/manage/namespaces", `{"namespace":"`+m.org(i)+`"}`)
	})
	if o.err != nil {
		return o.err
	}
	index, puts := content.Index(m.s.run), each/tagsPerPut
	o = loop(m.push, 16, m.s.Seed, m.n*puts, func(c *raw.Client, i int) error {
		repo, put := i/puts, i%puts
		first, tags := tagName(put*tagsPerPut), ""
		for k := 1; k < tagsPerPut; k++ {
			tags += "&tag=" + tagName(put*tagsPerPut+k)
		}
		return putManifest(c, m.org(repo/perOrg)+"/"+m.repo(repo), first+"?"+tags[1:], content.TypeIndex, index)
	})
	if o.err == nil && o.n < m.n*puts {
		o.err = fmt.Errorf("only %s of %d requests within %s", strconv.Itoa(o.n), m.n*puts, m.s.Seed)
	}
	return o.err
}

// drained waits until no job of retention is left.
func (m *managed) drained() error {
	c := m.api.New()
	defer c.Close()
	for end := time.Now().Add(m.s.Seed); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		r, err := c.Once(&raw.Request{Method: "GET", Path: "/v2/manage/jobs?kind=retention&limit=1", Token: m.token, Keep: true})
		if err != nil {
			return err
		}
		if r.Status != 200 {
			return fmt.Errorf("jobs: status %d %.200s", r.Status, r.Body)
		}
		if bytes.Contains(r.Body, []byte(`"jobs":[]`)) {
			return nil
		}
	}
	return fmt.Errorf("jobs of retention are left after %s", m.s.Seed)
}
