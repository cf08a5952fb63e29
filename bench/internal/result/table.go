package result

import (
	"fmt"
	"io"
)

// Roof is the target name under which the machine's own limits are recorded, Environment
// the workload of what only says how a run went, and Machine the metric of it whose note
// describes the machine.
const (
	Roof        = "roof"
	Environment = "environment"
	Machine     = "machine"
)

// Table prints the goals as Markdown: what was measured, beside what, the ratio, and
// whether it is enough. It returns how many goals were missed or not measured.
func Table(w io.Writer, all []Metric, target, reference string) (missed int) {
	v := collect(all)
	for _, m := range all {
		if m.Name == Machine {
			fmt.Fprintf(w, "%s\n\n", m.Note)
			break
		}
	}
	fmt.Fprintf(w, "| workload | %s | beside | ratio | must | aim | |\n|---|---:|---:|---:|---:|---:|---|\n", target)
	for _, g := range goals() {
		l := v.judge(g, target, reference)
		if !l.reached {
			missed++
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", g.what, l.value, l.beside, l.ratio, l.must, l.aim, l.verdict)
	}
	v.roofs(w)
	return missed
}

type line struct {
	value, beside, ratio, must, aim, verdict string
	reached                                  bool
}

func (v *values) judge(g goal, target, reference string) line {
	id := identity{g.workload, g.name}
	kind := v.kind[id]
	l := line{must: g.format(g.must), aim: "–"}
	if g.aim != 0 {
		l.aim = g.format(g.aim)
	}
	value, ok := v.median(target, id)
	if !ok {
		l.verdict = "not measured"
		if why := v.failed[target][id]; why != "" {
			l.verdict = "failed: " + short(why)
		}
		return l
	}
	l.value = unit(value, kind.Unit)
	ratio := value
	if g.scale != atMost {
		other, name := identity{g.workload, g.name}, reference
		if g.scale == share {
			other, name = identity{g.workload, g.beside}, target
		}
		ref, ok := v.median(name, other)
		if !ok {
			l.verdict = "nothing to compare with"
			return l
		}
		l.beside = unit(ref, kind.Unit)
		ratio = gain(value, ref, kind.Better)
		l.ratio = g.format(ratio)
	}
	l.reached = g.enough(ratio, g.must)
	switch {
	case !l.reached:
		l.verdict = "**missed**"
	case g.aim != 0 && g.enough(ratio, g.aim):
		l.verdict = "aim"
	default:
		l.verdict = "must"
	}
	return l
}

func (g goal) enough(ratio, bound float64) bool {
	if g.scale == atMost {
		return ratio <= bound
	}
	return ratio >= bound
}

func (g goal) format(v float64) string {
	switch g.scale {
	case times:
		return number(v) + "x"
	case share:
		return fmt.Sprintf("%.0f %%", v*100)
	default:
		return "≤ " + number(v)
	}
}

func (v *values) roofs(w io.Writer) {
	first := true
	for _, id := range v.order {
		value, ok := v.median(Roof, id)
		if !ok || id.workload == Environment {
			continue
		}
		if first {
			first = false
			fmt.Fprint(w, "\nWhat the machine can do at best:\n\n| | |\n|---|---:|\n")
		}
		fmt.Fprintf(w, "| %s | %s |\n", id.name, unit(value, v.kind[id].Unit))
	}
}

func unit(v float64, unit string) string {
	if unit == "" {
		return number(v)
	}
	return number(v) + " " + unit
}

// Unmeasured names the goals that the target's metrics say nothing about.
func Unmeasured(all []Metric, target string) []string {
	v := collect(all)
	var out []string
	for _, g := range goals() {
		if _, ok := v.median(target, identity{g.workload, g.name}); !ok {
			out = append(out, g.what)
		} else if _, ok := v.median(target, identity{g.workload, g.beside}); g.scale == share && !ok {
			out = append(out, g.what)
		}
	}
	return out
}
