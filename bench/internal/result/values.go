package result

// identity of a metric within one target
type identity struct{ workload, name string }

// values holds the repetitions of every metric of every target.
type values struct {
	of     map[string]map[identity][]float64 // target -> metric -> repetitions
	kind   map[identity]Metric               // unit and direction
	failed map[string]map[identity]string    // target -> metric -> why
	order  []identity                        // as first seen
	target []string                          // as first seen, without the machine itself
}

func collect(all []Metric) *values {
	v := &values{of: map[string]map[identity][]float64{}, kind: map[identity]Metric{}, failed: map[string]map[identity]string{}}
	for _, m := range all {
		id := identity{m.Workload, m.Name}
		if v.of[m.Target] == nil {
			v.of[m.Target] = map[identity][]float64{}
			v.failed[m.Target] = map[identity]string{}
			if m.Target != Roof {
				v.target = append(v.target, m.Target)
			}
		}
		if _, ok := v.kind[id]; !ok {
			v.order = append(v.order, id)
			v.kind[id] = m
		}
		if m.Failed {
			v.failed[m.Target][id] = m.Note
			continue
		}
		v.of[m.Target][id] = append(v.of[m.Target][id], m.Value)
	}
	return v
}

// median reports false where nothing was measured.
func (v *values) median(target string, id identity) (float64, bool) {
	l := v.of[target][id]
	return Median(l), len(l) > 0
}
