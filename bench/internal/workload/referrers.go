package workload

import (
	"fmt"
	"math"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

// referrers attaches manifests to one subject from 8 clients at once, counts those that
// the list has, and times a page of it in manifest GETs.
func referrers(s *Session) error {
	repo := s.repo("referrers")
	subject, artifact := content.Small(s.id("subject")), content.Small(s.id("artifact"))
	c := s.New()
	defer c.Close()
	for tag, im := range map[string]*content.Image{"subject": subject, "artifact": artifact} {
		if err := pushImage(c, repo, tag, im); err != nil {
			return err
		}
	}
	at := "/v2/" + repo + "/referrers/" + subject.Digest
	if _, _, err := page(c, at, toPull(repo), "manifests"); err != nil {
		return fmt.Errorf("no referrers API: %w", err)
	}
	types := []string{"application/vnd.example.signature", "application/vnd.example.sbom"}
	want := s.count(1000)
	o := loop(s.Endpoint, 8, s.Seed, want, func(c *raw.Client, i int) error {
		body := artifact.Referrer(s.id("referrer%d", i), types[i%2], subject)
		return putManifest(c, repo, content.Digest(body), content.TypeManifest, body)
	})
	if o.err != nil {
		return o.err
	}
	s.record("attach c=8", "referrers/s", o.rate(), result.Higher)
	got, err := list(c, at, toPull(repo), "manifests")
	if err != nil {
		return err
	}
	s.record("lost", "", math.Abs(float64(o.n-got)), result.Lower)
	return s.timeReferrers(c, at, repo)
}

func (s *Session) timeReferrers(c *raw.Client, at, repo string) error {
	entries := 0
	manifest := raw.Request{Method: "GET", Path: "/v2/" + repo + "/manifests/subject", Accept: content.Accept, Scope: toPull(repo)}
	timed := func(name string, n int, fn func() error) competitor {
		return competitor{name, func() (float64, error) { return latency(n, fn) }}
	}
	n := s.count(100)
	cs := []competitor{
		timed("page", n, func() (err error) {
			_, err = expect(c, &raw.Request{Method: "GET", Path: at, Scope: toPull(repo)}, 200)
			return err
		}),
		timed("manifest GET", n, func() error { _, err := expect(c, &manifest, 200); return err }),
		timed("page of one artifact type", n, func() error {
			_, err := expect(c, &raw.Request{Method: "GET", Path: at + "?artifactType=application%2Fvnd.example.sbom", Scope: toPull(repo)}, 200)
			return err
		}),
		timed("all pages", max(1, n/10), func() (err error) {
			entries, err = list(c, at, toPull(repo), "manifests")
			return err
		}),
	}
	ms, err := interleave(s.Rounds, false, cs...)
	if err != nil {
		return err
	}
	for i, c := range cs {
		s.record(c.name, "ms", ms[i], result.Lower)
	}
	s.record("page in manifest GETs", "x", ms[0]/ms[1], result.Lower)
	first, _, err := page(c, at, toPull(repo), "manifests")
	if err != nil {
		return err
	}
	s.record("entries of the first page", "", float64(first), result.Info)
	s.record("entries in all", "", float64(entries), result.Info)
	return nil
}
