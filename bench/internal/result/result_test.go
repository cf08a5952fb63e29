package result

import (
	"bytes"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1}, 2.5}} {
		if got := Median(c.in); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.in, got, c.want)
		}
	}
}

func TestTableJudges(t *testing.T) {
	all := []Metric{
		{Target: "ref", Workload: "small", Name: "push c=8", Unit: "images/s", Value: 100, Better: Higher},
		{Target: "us", Workload: "small", Name: "push c=8", Unit: "images/s", Value: 700, Better: Higher},
		{Target: "us", Workload: "small", Name: "push c=8", Unit: "images/s", Value: 720, Better: Higher},
		{Target: "ref", Workload: "tags", Name: "last page of 100", Unit: "ms", Value: 8, Better: Lower},
		{Target: "us", Workload: "tags", Name: "last page of 100", Unit: "ms", Value: 0.2, Better: Lower},
		{Target: "us", Workload: "manifest", Name: "GET c=16", Unit: "req/s", Value: 40, Better: Higher},
		{Target: "us", Workload: "manifest", Name: "GET c=16, bare", Unit: "req/s", Value: 100, Better: Info},
		{Target: "us", Workload: "idle", Name: "memory", Unit: "MiB", Value: 50, Better: Lower},
		{Target: "us", Workload: "mount", Name: "mount c=8", Failed: true, Note: "refused"},
		{Target: Roof, Workload: "roof", Name: "sha256", Unit: "MiB/s", Value: 1700},
	}
	var b bytes.Buffer
	missed := Table(&b, all, "us", "ref")
	if want := len(goals()) - 2; missed != want {
		t.Errorf("%d missed, want %d", missed, want)
	}
	for _, want := range []string{
		"| small image push, 8 clients | 710 images/s | 100 images/s | 7.10x | 5.00x | 8.00x | must |",
		"| page of 100 tags of 10,000 | 0.20 ms | 8.00 ms | 40.0x | 10.0x | 20.0x | aim |",
		"| manifest GET, 16 clients, beside bare | 40.0 req/s | 100 req/s | 40 % | 45 % | 60 % | **missed** |",
		"| idle memory, fresh (MiB) | 50.0 MiB |  |  | ≤ 45.0 | ≤ 30.0 | **missed** |",
		"failed: refused",
		"| sha256 | 1700 MiB/s |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func TestReportComparesWithTheReference(t *testing.T) {
	all := []Metric{
		{Target: "ref", Workload: "a", Name: "rate", Value: 10, Better: Higher},
		{Target: "ref", Workload: "b", Name: "time", Value: 4, Better: Lower},
		{Target: "us", Workload: "a", Name: "rate", Value: 30, Better: Higher},
		{Target: "us", Workload: "b", Name: "time", Value: 1, Better: Lower},
		{Target: "us", Workload: "b", Name: "note", Value: 1},
	}
	var b bytes.Buffer
	Report(&b, all, "ref", false)
	for _, want := range []string{"| rate |  | 10.0 | 30.0 (3.00x) |", "| time |  | 4.00 | 1.00 (4.00x) |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "note") {
		t.Error("an informing metric is in the short report")
	}
}
