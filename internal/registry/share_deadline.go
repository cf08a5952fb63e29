package registry

import (
	"math"
	"time"

	"berth.dev/berth/internal/fault"
)

// A deadline is the last day on which a rule holds, or Forever.
type deadline struct {
	text    string // as clients read it
	expires int64  // the first moment at which the rule does not hold, in microseconds
}

// Forever is the deadline of a rule that does not end by itself.
const Forever = "forever"

// never is later than every moment.
const never = math.MaxInt64

const (
	dateForm     = "2006-01-02"
	deadlineForm = "2006-01-02T15:04:05Z"
	maxDeadline  = 64 // bytes
)

// parseDeadline reads Forever, a time by RFC 3339 with any offset, or a date.
// A rule holds until midnight of the day after, both in UTC; the time of day is
// kept, and counts for nothing else.
func parseDeadline(s string) (deadline, error) {
	bad := fault.New(fault.Invalid, "The deadline is forever, a date such as 2031-12-31, or a time such as 2031-12-31T16:00:00Z.")
	if s == Forever {
		return deadline{Forever, never}, nil
	}
	if len(s) > maxDeadline {
		return deadline{}, bad
	}
	t, err := time.Parse(dateForm, s)
	if err != nil {
		if t, err = time.Parse(time.RFC3339, s); err != nil {
			return deadline{}, bad
		}
	}
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 { // an offset can leave the years that have four digits
		return deadline{}, bad
	}
	y, m, d := t.Date()
	return deadline{t.Format(deadlineForm), time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC).UnixMicro()}, nil
}

// isOver reports that nobody could use a rule with this deadline.
func (d deadline) isOver(now int64) bool { return d.expires <= now }
