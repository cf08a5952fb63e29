package server

import (
	"context"

	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/registry"
)

// Check is the argument of Fsck.
type Check struct {
	Deep bool `json:"deep"` // read all bytes and compare their digests
}

// Report is what Fsck found. Counts are of everything, Findings lists the
// first maxFindings.
type Report struct {
	registry.FsckSummary
	Listed []registry.Finding `json:"listed"`
}

const maxFindings = 1000

// Fsck proves that rows and storage fit together. It changes nothing.
var Fsck = Op[Check, Report]{"fsck", func(ctx context.Context, c *core, in Check) (Report, error) {
	listed := []registry.Finding{}
	sum, err := c.registry.Fsck(ctx, iam.Operator(), in.Deep, func(f registry.Finding) {
		if len(listed) < maxFindings {
			listed = append(listed, f)
		}
	})
	return Report{sum, listed}, err
}}
