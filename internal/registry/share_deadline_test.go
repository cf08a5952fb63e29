package registry

import (
	"strings"
	"testing"
	"time"
)

func TestParseDeadline(t *testing.T) {
	for _, tt := range []struct{ in, text, expires string }{
		{"2021-10-01T16:00:00.000Z", "2021-10-01T16:00:00Z", "2021-10-02T00:00:00Z"},
		{"2021-10-01T16:00:00Z", "2021-10-01T16:00:00Z", "2021-10-02T00:00:00Z"},
		{"2021-10-01", "2021-10-01T00:00:00Z", "2021-10-02T00:00:00Z"},
		{"2099-12-31T00:00:00Z", "2099-12-31T00:00:00Z", "2100-01-01T00:00:00Z"},
		{"2021-10-02T01:30:00+08:00", "2021-10-01T17:30:00Z", "2021-10-02T00:00:00Z"}, // the day in UTC counts
		{"2021-10-01T23:30:00-02:00", "2021-10-02T01:30:00Z", "2021-10-03T00:00:00Z"},
		{"2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"2021-10-01T23:59:59.999999999Z", "2021-10-01T23:59:59Z", "2021-10-02T00:00:00Z"},
		{"9999-12-31", "9999-12-31T00:00:00Z", "10000-01-01T00:00:00Z"},
	} {
		d, err := parseDeadline(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := time.UnixMicro(d.expires).UTC().Format(time.RFC3339); d.text != tt.text || got != tt.expires {
			t.Errorf("%s: %s until %s, want %s until %s", tt.in, d.text, got, tt.text, tt.expires)
		}
		if again, err := parseDeadline(d.text); err != nil || again != d {
			t.Errorf("%s: what is shown reads as %+v, %v", tt.in, again, err)
		}
	}
	if d, err := parseDeadline("forever"); err != nil || d.text != "forever" || d.isOver(1<<62) {
		t.Errorf("forever: %+v, %v", d, err)
	}
	for _, bad := range []string{"", "Forever", "never", "2021-13-01", "2021-02-29", "2021-10-01 16:00:00", "2021-10-01T16:00:00", "20211001", "1633104000",
		"9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00", "2021-10-01T16:00:00Z\x00", " 2021-10-01", strings.Repeat("2", 100)} {
		if d, err := parseDeadline(bad); err == nil {
			t.Errorf("%q reads as %+v", bad, d)
		}
	}
}

func FuzzDeadline(f *testing.F) {
	for _, s := range []string{"forever", "2021-10-01", "2021-10-01T16:00:00.000Z", "2021-10-02T01:30:00+08:00", "9999-12-31T23:59:59-23:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseDeadline(s)
		if err != nil {
			return
		}
		if d.text == Forever {
			if s != Forever || d.expires != never {
				t.Fatalf("%q: %+v", s, d)
			}
			return
		}
		shown, err := time.Parse(deadlineForm, d.text)
		if err != nil || len(d.text) != len(deadlineForm) {
			t.Fatalf("%q is shown as %q", s, d.text)
		}
		end := time.UnixMicro(d.expires).UTC()
		if left := end.Sub(shown); left <= 0 || left > 24*time.Hour || end.Hour()+end.Minute()+end.Second()+end.Nanosecond() != 0 {
			t.Fatalf("%q: %s until %s", s, d.text, end)
		}
		if again, err := parseDeadline(d.text); err != nil || again != d {
			t.Fatalf("%q: shown as %q, which reads as %+v, %v", s, d.text, again, err)
		}
	})
}
