package server

import (
	"maps"
	"slices"
	"strings"
)

// nearest suggests the known key that name is probably meant to be, as
// " (did you mean x?)", or is empty where none is near.
func nearest(name string, keys map[string]Key) string {
	if best := Nearest(name, slices.Sorted(maps.Keys(keys))); best != "" {
		return " (did you mean " + best + "?)"
	}
	return ""
}

// Nearest returns the candidate that name is probably meant to be: one that
// differs by at most a third of its letters, at least one and at most three,
// or else the only one that goes on from it. Empty where there is none.
func Nearest(name string, candidates []string) string {
	if len(name) > 64 {
		return ""
	}
	best, limit := "", min(max(len(name)/3, 1), 3)+1
	for _, c := range candidates {
		if d := distance(name, c); d < limit {
			best, limit = c, d
		}
	}
	if best == "" {
		return completion(name, candidates)
	}
	return best
}

func completion(name string, candidates []string) string {
	found := ""
	for _, c := range candidates {
		if len(name) >= 3 && strings.HasPrefix(c, name) {
			if found != "" {
				return ""
			}
			found = c
		}
	}
	return found
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make b of a.
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
