package iamapi

import (
	"testing"

	"berth.dev/berth/internal/fault"
)

func TestEveryFaultHasAnAnswer(t *testing.T) {
	for _, code := range fault.Codes {
		if w, ok := faults[code]; !ok || w.status < 400 || w.code == "" {
			t.Errorf("%s: %+v", code, w)
		}
	}
	if len(faults) != len(fault.Codes) {
		t.Errorf("%d answers for %d codes", len(faults), len(fault.Codes))
	}
}
