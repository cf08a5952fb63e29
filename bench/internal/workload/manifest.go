package workload

import (
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/bare"
	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

// baseLayers is what an everyday image has; its manifest takes about 2.5 KB.
const baseLayers = 10

// pushBase pushes the image that reading workloads use, under ten tags, once.
func (s *Session) pushBase() (*content.Image, error) {
	if s.base != nil {
		return s.base, nil
	}
	c := s.New()
	defer c.Close()
	im := content.NewImage(s.id("base"), baseLayers, 64<<10)
	for i := range 10 {
		if err := pushImage(c, s.repo("base"), tagName(i), im); err != nil {
			return nil, err
		}
	}
	s.base = im
	return im, nil
}

func manifest(s *Session) error {
	im, err := s.pushBase()
	if err != nil {
		return err
	}
	return s.read([]int{1, 16, 64}, im.Manifest, place{repo: s.repo("base"), tag: tagName(5)})
}

// place is where a manifest is read from; label tells several apart.
type place struct{ label, repo, tag string }

// read compares GET and HEAD of a manifest at all places with each other and with the
// bare handler, which gets the very same requests, credentials included, and answers
// with the same bytes.
func (s *Session) read(clients []int, body []byte, places ...place) error {
	if err := s.putBare(body); err != nil {
		return err
	}
	for _, method := range []string{"GET", "HEAD"} {
		for _, n := range clients {
			name := fmt.Sprintf("%s c=%d", method, n)
			if err := s.readAt(name, method, n, places); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func (s *Session) readAt(name, method string, clients int, places []place) error {
	span := s.span(time.Second)
	slice := func(label string, e *raw.Endpoint, p place) competitor {
		r := raw.Request{Method: method, Path: "/v2/" + p.repo + "/manifests/" + p.tag, Accept: content.Accept, Scope: toPull(p.repo)}
		return competitor{label, func() (float64, error) {
			o := loop(e, clients, span, unlimited, func(c *raw.Client, _ int) error {
				_, err := expect(c, &r, 200)
				return err
			})
			return o.rate(), o.err
		}}
	}
	var cs []competitor
	for _, p := range places {
		label := name
		if p.label != "" {
			label += ", " + p.label
		}
		cs = append(cs, slice(label, s.Endpoint, p))
	}
	// a first request, so that there is a token to send to the bare handler too
	c := s.New()
	defer c.Close()
	if _, err := expect(c, &raw.Request{Method: "HEAD", Path: "/v2/" + places[0].repo + "/manifests/" + places[0].tag,
		Accept: content.Accept, Scope: toPull(places[0].repo)}, 200); err != nil {
		return err
	}
	s.Bare.Fixed(s.Authorization(toPull(places[0].repo)))
	cs = append(cs, slice(name+", bare", s.Bare.Endpoint, places[0]))
	rates, err := interleave(s.Rounds, false, cs...)
	if err != nil {
		return err
	}
	for i, c := range cs {
		better := result.Higher
		if i == len(cs)-1 {
			better = result.Info
		}
		s.record(c.name, "req/s", rates[i], better)
	}
	return nil
}

func (s *Session) putBare(body []byte) error {
	c := s.Bare.New()
	defer c.Close()
	_, err := expect(c, &raw.Request{Method: "PUT", Path: bare.PathManifest, ContentType: content.TypeManifest, Body: body}, 201)
	return err
}
