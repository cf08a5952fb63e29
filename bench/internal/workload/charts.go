package workload

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"time"

	"berth.dev/berth/bench/internal/content"
	"berth.dev/berth/bench/internal/raw"
	"berth.dev/berth/bench/internal/result"
)

const (
	chartVersions = 7000
	chartNames    = 50
)

// charts fills a chart group and reads its index.
func charts(s *Session) error {
	if len(s.Target.Accounts) < 1 {
		return nil
	}
	if err := s.Target.MakeAccounts(); err != nil {
		return err
	}
	a := s.Target.Accounts[0]
	m := &managed{s: s}
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
	full, fresh := "full-"+s.run, "fresh-"+s.run
	c := m.api.New()
	defer c.Close()
	for _, group := range []string{full, fresh} {
		if err := m.post(c, "/v2/manage/chart-groups", `{"name":"`+group+`"}`); err != nil {
			return err
		}
	}
	n := s.count(chartVersions)
	filled := loop(m.push, 8, s.Seed, n, func(c *raw.Client, i int) error { return uploadChart(c, full, i) })
	if filled.err != nil {
		return filled.err
	}
	s.record("versions", "versions", float64(len(filled.latency)), result.Info)
	if err := m.readIndex(full); err != nil {
		return err
	}
	return m.pushCharts(full, fresh, n)
}

func chartName(i int) string { return fmt.Sprintf("chart%d", i%chartNames) }

// uploadChart uploads the i-th version.
func uploadChart(c *raw.Client, group string, i int) error {
	body, err := packChart(chartName(i), fmt.Sprintf("1.%d.0", i/chartNames))
	if err != nil {
		return err
	}
	_, err = expect(c, &raw.Request{Method: "POST", Path: "/chart/api/" + group + "/charts", Body: body}, 201)
	return err
}

// packChart makes a chart whose metadata is of the usual length.
func packChart(name, version string) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	text := "apiVersion: v2\nname: " + name + "\nversion: " + version + `
appVersion: "1.16.0"
description: A chart of the usual length, with a description that says what the application does and for whom
home: https://example.com/` + name + `
icon: https://example.com/` + name + `.svg
kubeVersion: ">=1.25.0-0"
keywords: [database, sql, storage]
maintainers:
- name: Ada Lovelace
  email: ada@example.com
sources:
- https://example.com/source/` + name + `
annotations:
  category: Database
dependencies:
- name: common
  version: 2.x.x
  repository: oci://registry.example.com/charts
type: application
`
	if err := t.WriteHeader(&tar.Header{Name: name + "/Chart.yaml", Mode: 0o644, Size: int64(len(text))}); err != nil {
		return nil, err
	}
	if _, err := t.Write([]byte(text)); err != nil {
		return nil, err
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// readIndex compares requests for an index with those for a manifest.
func (m *managed) readIndex(group string) error {
	index := raw.Request{Method: "GET", Path: "/chart/" + group + "/index.yaml"}
	zipped, known := index, index
	zipped.Encoding = "gzip"
	known.Known = "*"
	slice := func(name string, clients int, r raw.Request, status int) competitor {
		return competitor{name, func() (float64, error) {
			o := loop(m.push, clients, m.s.span(time.Second), unlimited, func(c *raw.Client, _ int) error {
				_, err := expect(c, &r, status)
				return err
			})
			return o.rate(), o.err
		}}
	}
	cs := []competitor{
		slice("index GET", 4, index, 200),
		slice("index GET, gzip", 16, zipped, 200),
		slice("conditional GET", 16, known, 304),
		slice("manifest HEAD", 16, raw.Request{Method: "HEAD", Path: "/v2/" + group + "/" + chartName(0) + "/manifests/1.0.0", Accept: content.Accept}, 200),
	}
	rates, err := interleave(m.s.Rounds, false, cs...)
	for i := range rates {
		m.s.record(cs[i].name, "req/s", rates[i], result.Higher)
	}
	return err
}

// pushCharts uploads into a full group and into one that begins empty, and reads
// the index after each upload, which is not timed.
func (m *managed) pushCharts(full, fresh string, n int) error {
	next := map[string]int{full: n, fresh: 0}
	slice := func(name, group string) competitor {
		return competitor{name, func() (float64, error) {
			c := m.push.New()
			defer c.Close()
			var spent time.Duration
			pushes := 0
			for end := time.Now().Add(m.s.span(time.Second)); pushes == 0 || time.Now().Before(end); pushes++ {
				begun := time.Now()
				if err := uploadChart(c, group, next[group]); err != nil {
					return 0, err
				}
				spent += time.Since(begun)
				next[group]++
				if _, err := expect(c, &raw.Request{Method: "GET", Path: "/chart/" + group + "/index.yaml"}, 200); err != nil {
					return 0, err
				}
			}
			return float64(pushes) / spent.Seconds(), nil
		}}
	}
	cs := []competitor{slice("push, full group", full), slice("push, empty group", fresh)}
	rates, err := interleave(m.s.Rounds, true, cs...)
	for i := range rates {
		m.s.record(cs[i].name, "charts/s", rates[i], result.Higher)
	}
	return err
}
