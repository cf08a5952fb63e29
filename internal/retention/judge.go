package retention

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// A Tag is what a policy goes by.
type Tag struct {
	ID      int64 // of two tags with one time of their last push the greater is the newer
	Name    string
	Updated int64 // last push, microseconds since 1970
}

// Newer orders tags from the newest to the oldest, as slices.SortFunc wants it.
func Newer(a, b Tag) int {
	return cmp.Or(cmp.Compare(b.Updated, a.Updated), cmp.Compare(b.ID, a.ID), cmp.Compare(b.Name, a.Name))
}

// A Verdict is what becomes of a tag, and why.
type Verdict struct {
	Delete bool
	// Rule is the index of the rule that decided: of those that let the tag go
	// the first; else of those whose exception saved it; else of those that have
	// it among their exceptions; else 0.
	Rule int
	// Rank is the tag's place among those that the rule counts, 1 for the
	// newest; 0 where the rule goes by age, and for its exceptions.
	Rank int
	// Except is the index of the rule's selector that exempts the tag, -1: none.
	Except int
	// Saved: without that exception the rule would let the tag go.
	Saved bool
}

// ErrTooLong is what a Judge returns when the regular expressions of a policy
// took all the time that it was given. Then nothing of what it said counts.
var ErrTooLong = errors.New("the regular expressions of the policy take too long to compare with the tags")

// A Judge applies a policy to the tags of one repository, which it is shown
// from the newest to the oldest. It remembers how many it has counted, and no
// tag. It is not safe for concurrent use.
type Judge struct {
	now   int64
	rules []judged

	left  time.Duration // for expressions
	begun time.Time     // of the comparisons that are not taken from left yet
	count int           // of them
}

// judged is a rule at work.
type judged struct {
	template Template
	n        int
	oldest   int64 // last push of the oldest tag that stays by its age
	counted  int
	last     int64 // last push of the oldest tag among the n newest; 0: none was counted
	labels   map[string]int
	patterns []pattern
}

type pattern struct {
	re       *regexp.Regexp
	selector int
}

// Day is the unit of rules by age.
const Day = 24 * time.Hour

// NewJudge prepares a policy for tags as of now. limit bounds the time that its
// expressions may take together, 0 for a minute. Errors: those of Validate
// that concern expressions.
func NewJudge(p Policy, now time.Time, limit time.Duration) (*Judge, error) {
	if limit == 0 {
		limit = time.Minute
	}
	j := &Judge{now: now.UnixMicro(), left: limit, rules: make([]judged, len(p.Rules))}
	known := map[string]*regexp.Regexp{}
	for i, r := range p.Rules {
		g := &j.rules[i]
		*g = judged{template: r.Template, n: r.N, labels: map[string]int{}}
		if r.Template == ByAge {
			g.oldest = j.now - int64(r.N)*Day.Microseconds()
		}
		for k, s := range r.Except {
			if s.Kind == Label {
				if _, twice := g.labels[s.Pattern]; !twice {
					g.labels[s.Pattern] = k
				}
				continue
			}
			re := known[s.Pattern]
			if re == nil {
				var err error
				if re, err = oci.ParsePattern(s.Pattern); err != nil {
					return nil, fault.Wrap(fault.Invalid, err, "rules[%d].tag_selectors[%d].pattern is no regular expression any more.", i, k)
				}
				known[s.Pattern] = re
			}
			g.patterns = append(g.patterns, pattern{re, k})
		}
	}
	return j, nil
}

// Judge decides about the next tag. Errors: ErrTooLong.
func (j *Judge) Judge(t Tag) (Verdict, error) {
	const (
		nothing = iota // a rule has nothing to say
		exempts
		saves
	)
	best, v := nothing, Verdict{Except: -1}
	for i := range j.rules {
		g := &j.rules[i]
		except, err := j.except(g, t.Name)
		if err != nil {
			return Verdict{}, err
		}
		goes, rank := g.judge(t, except < 0)
		switch {
		case except >= 0 && goes && best < saves && !v.Delete:
			best, v = saves, Verdict{Rule: i, Except: except, Saved: true}
		case except >= 0 && best < exempts && !v.Delete:
			best, v = exempts, Verdict{Rule: i, Except: except}
		case except < 0 && goes && !v.Delete:
			v = Verdict{Delete: true, Rule: i, Rank: rank, Except: -1}
		case except < 0 && i == 0:
			v.Rank = rank
		}
	}
	if err := j.spend(false); err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// judge tells whether the rule lets a tag go that is none of its exceptions, or
// would if it were none; counts says that it is none.
func (g *judged) judge(t Tag, counts bool) (goes bool, rank int) {
	if g.template == ByAge {
		return t.Updated < g.oldest, 0
	}
	if !counts {
		return g.counted >= g.n, 0
	}
	g.counted++
	if g.counted <= g.n {
		g.last = t.Updated
	}
	return g.counted > g.n, g.counted
}

// except returns the first selector of the rule that exempts the tag, -1: none
// does.
func (j *Judge) except(g *judged, tag string) (int, error) {
	first := -1
	if k, ok := g.labels[tag]; ok {
		first = k
	}
	for _, p := range g.patterns {
		if first >= 0 && first < p.selector {
			break
		}
		if j.count == 0 {
			j.begun = time.Now()
		}
		if j.count++; p.re.MatchString(tag) {
			first = p.selector
			break
		}
		if j.count >= perLook {
			if err := j.spend(true); err != nil {
				return -1, err
			}
		}
	}
	return first, nil
}

// perLook is how many comparisons are made between two looks at the clock. One
// of the worst that oci.ParsePattern lets pass takes some milliseconds.
const perLook = 16

// spend takes the time of the last comparisons from what is left. now: also
// where they were few.
func (j *Judge) spend(now bool) error {
	if j.count == 0 || !now && j.count < perLook {
		return nil
	}
	j.left -= time.Since(j.begun)
	j.count = 0
	if j.left < 0 {
		return ErrTooLong
	}
	return nil
}

// Pause has the time until the next tag not count: the caller does something
// else.
func (j *Judge) Pause() error { return j.spend(true) }

// Floor is the last push of the oldest tag that a rule by number counts among
// those that stay: all that are older go, or are exceptions of every such rule.
// It is now where no rule counted any.
func (j *Judge) Floor() int64 {
	floor := j.now
	for i := range j.rules {
		if g := &j.rules[i]; g.template == ByNumber && g.counted > 0 {
			floor = min(floor, g.last)
		}
	}
	return floor
}

// Plan judges all tags of a repository, given in any order, which are sorted
// from the newest to the oldest; the verdicts are in the same order.
// Errors: those of NewJudge and Judge.
func Plan(p Policy, tags []Tag, now time.Time) ([]Verdict, error) {
	j, err := NewJudge(p, now, 0)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tags, Newer)
	out := make([]Verdict, len(tags))
	for i, t := range tags {
		if out[i], err = j.Judge(t); err != nil {
			return nil, fmt.Errorf("after %d of %d tags: %w", i, len(tags), err)
		}
	}
	return out, nil
}
