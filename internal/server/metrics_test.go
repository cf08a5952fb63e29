package server

import (
	"strconv"
	"strings"
	"testing"

	"berth.dev/berth/internal/oci"
)

// scraped returns the figures by name with labels.
func (s *started) scraped(t *testing.T) map[string]float64 {
	t.Helper()
	res, body := do(t, s.request(t, "GET", "/metrics", nil))
	if res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	got := map[string]float64{}
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got[name] = v
	}
	return got
}

// TestFiguresMove pushes a blob that does not fit a row and reads it twice.
func TestFiguresMove(t *testing.T) {
	cfg := onFile(t)
	s := start(t, cfg)
	newOrg(t, &cfg, "demo")
	before := s.scraped(t)
	for _, f := range figures {
		if _, ok := before[f.name]; !ok {
			t.Errorf("%s is missing", f.name)
		}
	}
	content := strings.Repeat("x", 100<<10)
	d := string(oci.SHA256.FromBytes([]byte(content)))
	if res, body := do(t, s.request(t, "POST", "/v2/demo/app/blobs/uploads/?digest="+d, strings.NewReader(content))); res.StatusCode != 201 {
		t.Fatalf("push: %d %s", res.StatusCode, body)
	}
	for range 2 {
		if res, _ := do(t, s.request(t, "GET", "/v2/demo/app/blobs/"+d, nil)); res.StatusCode != 200 {
			t.Fatalf("pull: %d", res.StatusCode)
		}
	}
	after := s.scraped(t)
	for _, name := range []string{
		"berth_db_commits_total", "berth_db_closures_total", "berth_db_statements_total", "berth_storage_syncs_total",
		"berth_cache_content_hits_total", "berth_cache_content_misses_total", "berth_cache_content_entries",
		`berth_http_requests_total{code="200",route="oci_blob_get"}`, `berth_http_sent_bytes_total{route="oci_blob_get"}`,
		`berth_http_received_bytes_total{route="oci_upload_start"}`,
	} {
		if after[name] <= before[name] {
			t.Errorf("%s went from %v to %v", name, before[name], after[name])
		}
	}
	if n := after[`berth_http_requests_total{code="200",route="oci_blob_get"}`]; n != 2 {
		t.Errorf("%v reads counted", n)
	}
}
