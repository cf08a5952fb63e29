package protocol

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"berth.dev/berth/conformance/internal/images"
	"berth.dev/berth/conformance/internal/wire"
)

func referrersPath(repo string, d digest.Digest) string {
	return "/v2/" + repo + "/referrers/" + d.String()
}

// referrers reads all pages of a list.
func (p *probe) referrers(to string) []v1.Descriptor {
	p.Helper()
	var all []v1.Descriptor
	for pages := 0; to != ""; pages++ {
		if pages == 100 {
			p.Fatal("the pages do not end")
		}
		resp := p.want(200, "GET", to, nil)
		p.header(resp, "Content-Type", v1.MediaTypeImageIndex)
		var list v1.Index
		p.must(json.Unmarshal(resp.Body, &list))
		if list.SchemaVersion != 2 || list.MediaType != v1.MediaTypeImageIndex || list.Manifests == nil {
			p.Fatalf("no image index: %s", resp.Body)
		}
		all = append(all, list.Manifests...)
		to = p.next(resp)
	}
	return all
}

// next is where the next page is; empty: there is none.
func (p *probe) next(resp *wire.Response) string {
	p.Helper()
	link := resp.Header.Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	if !ok || !strings.HasPrefix(target, "<") {
		p.Fatalf("Link: %s", link)
	}
	base, err := url.Parse(p.URL() + resp.Request.To)
	p.must(err)
	u, err := base.Parse(target[1:])
	p.must(err)
	if u.Scheme+"://"+u.Host != p.URL() {
		p.Fatalf("the next page is elsewhere: %s", link)
	}
	return u.RequestURI()
}

// attach pushes an artifact that refers to a subject.
func (p *probe) attach(repo, artifactType string, subject images.Blob, annotations map[string]string) *images.Manifest {
	p.Helper()
	d := subject.Descriptor()
	m := p.Artifact(artifactType, &d, annotations)
	for _, b := range m.Blobs {
		p.pushed(repo, b)
	}
	resp := p.put(repo, m.Digest.String(), m.MediaType, m.Data)
	p.accepted(resp, m.Blob)
	p.header(resp, "Oci-Subject", subject.Digest.String())
	return m
}

func TestReferrers(t *testing.T) {
	each(t, func(p *probe) {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			p.sub(algorithm.String(), func(p *probe) {
				p.Algorithm = algorithm
				repo := p.org + "/" + algorithm.String()
				subject := p.Image(1, 100).Blob
				// The first comes before its subject does.
				early := p.attach(repo, "application/vnd.example.sbom", subject, map[string]string{"n": "1"})
				p.listed(repo, subject, early)
				late := p.attach(repo, "application/vnd.example.signature", subject, map[string]string{"n": "2", "ü": "✓"})
				p.listed(repo, subject, early, late)

				one := p.want(200, "GET", referrersPath(repo, subject.Digest)+"?artifactType="+url.QueryEscape("application/vnd.example.sbom"), nil)
				p.header(one, "Oci-Filters-Applied", "artifactType")
				var list v1.Index
				p.must(json.Unmarshal(one.Body, &list))
				if len(list.Manifests) != 1 || list.Manifests[0].Digest != early.Digest {
					p.Errorf("of one type: %s", one.Body)
				}
				if got := p.referrers(referrersPath(repo, subject.Digest) + "?artifactType=application/none"); len(got) != 0 {
					p.Errorf("of no type: %v", got)
				}
				p.want(202, "DELETE", wire.Manifest(repo, early.Digest.String()), nil)
				p.listed(repo, subject, late)
			})
		}
	})
}

// listed checks that exactly these refer to a subject, and how each is
// described.
func (p *probe) listed(repo string, subject images.Blob, want ...*images.Manifest) {
	p.Helper()
	got := p.referrers(referrersPath(repo, subject.Digest))
	if len(got) != len(want) {
		p.Fatalf("%d referrers, want %d: %v", len(got), len(want), got)
	}
	for _, m := range want {
		var parsed v1.Manifest
		p.must(json.Unmarshal(m.Data, &parsed))
		found := false
		for _, d := range got {
			if d.Digest != m.Digest {
				continue
			}
			found = true
			if d.MediaType != m.MediaType || d.Size != int64(len(m.Data)) || d.ArtifactType != parsed.ArtifactType || fmt.Sprint(d.Annotations) != fmt.Sprint(parsed.Annotations) {
				p.Errorf("described as %+v, want %+v", d, parsed)
			}
		}
		if !found {
			p.Errorf("%s is not listed", m.Digest)
		}
	}
}

// The type of an artifact that has none is that of its config; an index has
// only its own.
func TestReferrersArtifactType(t *testing.T) {
	each(t, func(p *probe) {
		subject := p.push(p.repo, "v1", p.Image(1, 100)).Descriptor()
		config := p.pushed(p.repo, p.Blob(20))
		image := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Subject: &subject, Layers: []v1.Descriptor{}}
		image.SchemaVersion, image.Config = 2, v1.Descriptor{MediaType: "application/vnd.example.config", Digest: config.Digest, Size: 20}
		index := v1.Index{MediaType: v1.MediaTypeImageIndex, Subject: &subject, Manifests: []v1.Descriptor{}}
		index.SchemaVersion = 2
		typed := index
		typed.ArtifactType = "application/vnd.example.index"
		want := map[digest.Digest]string{}
		for artifactType, m := range map[string]images.Blob{
			"application/vnd.example.config": manifest(v1.MediaTypeImageManifest, image),
			"":                               manifest(v1.MediaTypeImageIndex, index),
			"application/vnd.example.index":  manifest(v1.MediaTypeImageIndex, typed),
		} {
			p.accepted(p.put(p.repo, m.Digest.String(), m.MediaType, m.Data), m)
			want[m.Digest] = artifactType
		}
		for _, d := range p.referrers(referrersPath(p.repo, subject.Digest)) {
			if artifactType, ok := want[d.Digest]; !ok || d.ArtifactType != artifactType {
				p.Errorf("%s %s has the type %q, want %q", d.MediaType, d.Digest, d.ArtifactType, artifactType)
			}
			delete(want, d.Digest)
		}
		if len(want) != 0 {
			p.Errorf("not listed: %v", want)
		}
	})
}

func TestReferrersOfNothing(t *testing.T) {
	each(t, func(p *probe) {
		p.push(p.repo, "v1", p.Image(1, 100))
		for _, repo := range []string{p.repo, p.org + "/not-yet"} {
			if got := p.referrers(referrersPath(repo, p.Blob(3).Digest)); len(got) != 0 {
				p.Errorf("%v", got)
			}
		}
		p.refused(p.do("GET", "/v2/"+p.repo+"/referrers/sha256:bad", nil), 400, "DIGEST_INVALID")
		p.refused(p.do("GET", "/v2/"+p.repo+"/referrers/v1", nil), 400, "DIGEST_INVALID")
	})
}

// Pushed by many at once, none is lost; read in pages, none is missed or seen
// twice, with and without a filter.
func TestReferrersPages(t *testing.T) {
	each(t, func(p *probe) {
		subject := p.push(p.repo, "v1", p.Image(1, 100)).Descriptor()
		const clients, each = 8, 5
		var wait sync.WaitGroup
		failed := make(chan error, clients)
		for c := range clients {
			source := images.New(fmt.Sprint(p.Name(), c))
			wait.Go(func() {
				for i := range each {
					m := source.Artifact(fmt.Sprintf("application/vnd.example.%d", i%2), &subject, nil)
					if err := p.Push(p.Context(), p.repo, "", m); err != nil {
						failed <- err
						return
					}
				}
			})
		}
		wait.Wait()
		select {
		case err := <-failed:
			p.Fatal(err)
		default:
		}
		path := referrersPath(p.repo, subject.Digest)
		for query, want := range map[string]int{
			"":     clients * each,
			"?n=3": clients * each,
			"?n=4&artifactType=application/vnd.example.0": clients * 3,
			"?artifactType=application/vnd.example.1":     clients * 2,
		} {
			seen := map[digest.Digest]bool{}
			for _, d := range p.referrers(path + query) {
				seen[d.Digest] = true
			}
			if list := p.referrers(path + query); len(seen) != want || len(list) != want {
				p.Errorf("%q: %d of them and %d different, want %d", query, len(list), len(seen), want)
			}
		}
		if p.next(p.want(200, "GET", path+"?n=3", nil)) == "" {
			p.Error("three at a time, and there is no next page")
		}
	})
}
