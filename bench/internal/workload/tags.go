package workload

import (
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

const (
	someTags = 10_000
	allTags  = 100_000
	pageSize = 100
)

// tagged is a repository whose tags v000000, v000001, … each name a manifest of their own.
type tagged struct {
	name, repo string
	image      *content.Image
	s          *Session
}

func (s *Session) tagged(name string) *tagged {
	return &tagged{name: name, repo: s.repo(name), image: content.Small(s.id("tagged-%s", name)), s: s}
}

func (t *tagged) manifest(i int) []byte {
	return t.image.Variant(t.s.id("%s-%06d", t.name, i))
}

// fill adds tags up to n, bounded by the seed limit, and returns the rate of each tenth that it added.
func (t *tagged) fill(clients, n int) ([]float64, error) {
	have := t.s.filled[t.repo]
	if have == 0 {
		c := t.s.New()
		defer c.Close()
		if err := pushImage(c, t.repo, "first", t.image); err != nil {
			return nil, err
		}
	}
	var rates []float64
	end := time.Now().Add(t.s.Seed)
	for have < n {
		base := have
		o := loop(t.s.Endpoint, clients, time.Until(end), min(max(n/10, 10), n-have), func(c *raw.Client, i int) error {
			return putManifest(c, t.repo, tagName(base+i), content.TypeManifest, t.manifest(base+i))
		})
		have += o.n
		t.s.filled[t.repo] = have
		switch {
		case o.err != nil:
			return nil, o.err
		case time.Now().After(end):
			return nil, fmt.Errorf("only %d of %d tags within %s", have, n, t.s.Seed)
		}
		rates = append(rates, o.rate())
	}
	return rates, nil
}

func (t *tagged) lastPage() string {
	return fmt.Sprintf("/v2/%s/tags/list?n=%d&last=%s", t.repo, pageSize, tagName(max(t.s.filled[t.repo]-pageSize-1, 0)))
}

// wanted is a number of tags or repositories within what the target can be given.
func (s *Session) wanted(n, bound int) int {
	if s.Target.Owned() {
		n = min(n, bound)
	}
	if n == 0 {
		return 0
	}
	return s.count(n)
}

func tags(s *Session) error {
	n := s.wanted(someTags, s.Target.Scale.Tags)
	if n == 0 {
		return nil
	}
	t := s.tagged("10k")
	rates, err := t.fill(8, n)
	if err != nil {
		return err
	}
	s.record("tagging, first tenth", "tags/s", rates[0], result.Higher)
	s.record("tagging, last tenth", "tags/s", rates[len(rates)-1], result.Higher)
	c := s.New()
	defer c.Close()
	list0 := "/v2/" + t.repo + "/tags/list"
	s.pages(c, []listing{
		{"first page of 100", fmt.Sprintf("%s?n=%d", list0, pageSize), toPull(t.repo), "tags"},
		{"last page of 100", t.lastPage(), toPull(t.repo), "tags"},
	})
	ms, err := latency(s.count(20), func() error {
		got, err := list(c, list0, toPull(t.repo), "tags")
		if err == nil && got < n {
			err = fmt.Errorf("the list has %d of %d tags", got, n)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.record("all tags", "ms", ms, result.Lower)
	return nil
}

// listing is a page to be timed.
type listing struct{ name, at, scope, key string }

// pages times the pages in turns. Lists of fewer entries than a full page are an error
// unless the run is scaled down.
func (s *Session) pages(c *raw.Client, ls []listing) {
	var cs []competitor
	for _, l := range ls {
		cs = append(cs, competitor{l.name, func() (float64, error) {
			return latency(s.count(100), func() error {
				n, _, err := page(c, l.at, l.scope, l.key)
				if err == nil && n < pageSize && s.Factor >= 1 {
					err = fmt.Errorf("GET %s: %d entries", l.at, n)
				}
				return err
			})
		}})
	}
	ms, err := interleave(s.Rounds, false, cs...)
	if err != nil {
		s.failed(ls[len(ls)-1].name, err)
		return
	}
	for i, l := range ls {
		s.record(l.name, "ms", ms[i], result.Lower)
	}
}

// remove deletes manifests by digest from the repository of 10,000 tags.
func remove(s *Session) error {
	n := s.wanted(someTags, s.Target.Scale.Tags)
	if n == 0 {
		return nil
	}
	t := s.tagged("10k")
	if _, err := t.fill(8, n); err != nil {
		return err
	}
	const name = "of 10,000 tags"
	s.measured(name, "delete", func() (float64, error) {
		o := loop(s.Endpoint, 4, s.span(20*time.Second), min(s.count(2000), n/2), func(c *raw.Client, i int) error {
			_, err := expect(c, &raw.Request{Method: "DELETE", Path: "/v2/" + t.repo + "/manifests/" + content.Digest(t.manifest(i)),
				Scope: toDelete(t.repo)}, 202)
			return err
		})
		if o.err != nil {
			return 0, o.err
		}
		s.record(name, "deletes/s", o.rate(), result.Higher)
		return float64(o.n), nil
	})
	return nil
}

// manyTags compares a repository of 100,000 tags with one of 10,000 and one of 10.
func manyTags(s *Session) error {
	n := s.wanted(allTags, s.Target.Scale.Tags)
	if n <= s.wanted(someTags, s.Target.Scale.Tags) {
		return nil
	}
	few, many := s.tagged("flat10k"), s.tagged("100k")
	if _, err := few.fill(32, s.count(someTags)); err != nil {
		return err
	}
	rates, err := many.fill(32, n)
	if err != nil {
		return err
	}
	s.record("tagging c=32, first tenth", "tags/s", rates[0], result.Higher)
	s.record("tagging c=32, last tenth", "tags/s", rates[len(rates)-1], result.Higher)
	c := s.New()
	defer c.Close()
	s.pages(c, []listing{
		{"last page of 100, 10,000 tags", few.lastPage(), toPull(few.repo), "tags"},
		{"last page of 100", many.lastPage(), toPull(many.repo), "tags"},
	})
	im, err := s.pushBase()
	if err != nil {
		return err
	}
	// the same manifest in both places, so that only the number of tags differs
	if err := pushImage(c, many.repo, "base", im); err != nil {
		return err
	}
	return s.read([]int{16, 64}, im.Manifest,
		place{repo: many.repo, tag: "base"}, place{"10 tags", s.repo("base"), tagName(5)})
}
