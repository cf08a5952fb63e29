package result

import (
	"fmt"
	"io"
	"strings"
)

// Report prints one Markdown table per workload: a row for each metric, a column for
// each target, each cell the median of the repetitions and, in brackets, how many times
// better than the reference. Without full, metrics that only inform are left out.
func Report(w io.Writer, all []Metric, reference string, full bool) {
	v := collect(all)
	workload := ""
	for _, id := range sorted(v.order) {
		kind := v.kind[id]
		if kind.Better == Info && !kind.Failed && !full {
			continue
		}
		if id.workload != workload {
			workload = id.workload
			fmt.Fprintf(w, "\n### %s\n\n| metric | unit | %s |\n|---|---|%s\n",
				workload, strings.Join(v.target, " | "), strings.Repeat("---:|", len(v.target)))
		}
		fmt.Fprintf(w, "| %s | %s |", id.name, kind.Unit)
		for _, t := range v.target {
			fmt.Fprintf(w, " %s |", v.cell(t, reference, id))
		}
		fmt.Fprintln(w)
	}
}

func (v *values) cell(target, reference string, id identity) string {
	m, ok := v.median(target, id)
	if !ok {
		if why := v.failed[target][id]; why != "" {
			return "failed: " + short(why)
		}
		return "–"
	}
	s := number(m)
	ref, ok := v.median(reference, id)
	if b := v.kind[id].Better; ok && b != Info && target != reference && ref > 0 && m > 0 {
		s += fmt.Sprintf(" (%sx)", number(gain(m, ref, b)))
	}
	return s
}

// sorted keeps the metrics of one workload together, in the order they came.
func sorted(order []identity) []identity {
	var out []identity
	done := map[string]bool{}
	for _, a := range order {
		if done[a.workload] {
			continue
		}
		done[a.workload] = true
		for _, b := range order {
			if b.workload == a.workload {
				out = append(out, b)
			}
		}
	}
	return out
}

func short(s string) string {
	s = strings.NewReplacer("\n", " ", "|", "/").Replace(s)
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}
