package workload

import (
	"fmt"
	"net/url"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

const (
	someRepositories = 5_000
	allRepositories  = 100_000
)

func (s *Session) numbered(i int) string { return s.repo(fmt.Sprintf("catalog/r%06d", i)) }

// fillRepositories makes repositories up to n, bounded by the seed limit: by mounting an
// image into each, or, for very many, by pushing an index that has no children.
func (s *Session) fillRepositories(n int, bare bool) error {
	if s.repos >= n {
		return nil
	}
	im, source := content.Small(s.id("catalog")), s.repo("source")
	clients := 8
	if bare {
		clients = 32
	}
	c := s.filler.New()
	defer c.Close()
	if err := pushImage(c, source, "latest", im); err != nil {
		return err
	}
	base := s.repos
	o := loop(s.filler, clients, s.Seed, n-base, func(c *raw.Client, i int) error {
		repo := s.numbered(base + i)
		if bare {
			return putManifest(c, repo, "latest", content.TypeIndex, content.Index(s.run))
		}
		for _, d := range []string{im.Layers[0].Digest, im.ConfigDigest} {
			if err := mountBlob(c, repo, source, d); err != nil {
				return err
			}
		}
		return putManifest(c, repo, "latest", content.TypeManifest, im.Manifest)
	})
	s.repos += o.n
	if o.err != nil {
		return o.err
	}
	if s.repos < n {
		return fmt.Errorf("only %d of %d repositories within %s", s.repos, n, s.Seed)
	}
	s.record("make repositories", "repositories/s", o.rate(), result.Higher)
	return nil
}

// catalogPage is the page of a hundred names that starts behind the given repository.
func (s *Session) catalogPage(name string, i int) listing {
	return listing{name, fmt.Sprintf("/v2/_catalog?n=%d&last=%s", pageSize, url.QueryEscape(s.numbered(max(i, 0)))),
		toList, "repositories"}
}

func catalog(s *Session) error {
	n := s.wanted(someRepositories, s.Target.Scale.Repositories)
	if n == 0 {
		return nil
	}
	if err := s.fillRepositories(n, false); err != nil {
		return err
	}
	c := s.New()
	defer c.Close()
	s.pages(c, []listing{
		{"first page of 100", fmt.Sprintf("/v2/_catalog?n=%d", pageSize), toList, "repositories"},
		s.catalogPage("last page of 100", s.repos-pageSize-1),
	})
	ms, err := latency(s.count(5), func() error {
		got, err := list(c, "/v2/_catalog?n=1000", toList, "repositories")
		if err == nil && got < n {
			err = fmt.Errorf("the catalog has %d of %d repositories", got, n)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.record("whole catalog", "ms", ms, result.Lower)
	return nil
}

// manyRepositories times a page near the end of 5,000 before it makes 100,000 of them.
func manyRepositories(s *Session) error {
	few, n := s.wanted(someRepositories, s.Target.Scale.Repositories), s.wanted(allRepositories, s.Target.Scale.Repositories)
	if n <= few {
		return nil
	}
	if err := s.fillRepositories(few, false); err != nil {
		return err
	}
	c := s.New()
	defer c.Close()
	s.pages(c, []listing{s.catalogPage("last page of 100, 5,000 repositories", s.repos-pageSize-1)})
	if err := s.fillRepositories(n, true); err != nil {
		return err
	}
	s.pages(c, []listing{s.catalogPage("last page of 100", s.repos-pageSize-1)})
	return nil
}
