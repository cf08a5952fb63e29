// Package result keeps what was measured and prints it: all metrics side by side, or
// the table of goals with what must be reached.
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Better says in which direction a metric improves.
type Better int

// Info metrics are neither good nor bad.
const (
	Info   Better = 0
	Higher Better = 1
	Lower  Better = -1
)

// Metric is one measured value. Workload and Name together are its identity; a
// repetition adds another value of the same identity.
type Metric struct {
	Target   string  `json:"target"`
	Workload string  `json:"workload"`
	Name     string  `json:"name"`
	Unit     string  `json:"unit,omitempty"`
	Value    float64 `json:"value"`
	Better   Better  `json:"better,omitempty"`
	Note     string  `json:"note,omitempty"`
	Failed   bool    `json:"failed,omitempty"` // nothing was measured; Note says why
	Rep      int     `json:"rep,omitempty"`
}

// Read loads files of JSON lines.
func Read(files []string) ([]Metric, error) {
	var all []Metric
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		d := json.NewDecoder(f)
		for {
			var m Metric
			if err := d.Decode(&m); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// Median of no values is 0.
func Median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	switch n := len(s); {
	case n == 0:
		return 0
	case n%2 == 1:
		return s[n/2]
	default:
		return (s[n/2-1] + s[n/2]) / 2
	}
}

// gain is how many times better v is than ref.
func gain(v, ref float64, better Better) float64 {
	if better == Lower {
		v, ref = ref, v
	}
	if ref == 0 {
		return 0
	}
	return v / ref
}

// number prints three digits that matter.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
