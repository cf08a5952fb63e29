package iam

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"berth.dev/berth/internal/fault"
)

// Limits narrow what a credential may do: never more than its user, and of
// that what they say. The zero value does not limit.
type Limits struct {
	Only Use      `json:"only,omitempty"`
	In   []string `json:"in,omitempty"` // organizations ("acme") and repositories ("acme/app"); none: everywhere
}

// A Use is what a limited credential is for.
type Use string

// The uses. Push has pull in it.
const (
	AnyUse   Use = ""
	PullOnly Use = "pull"
	PushPull Use = "push"
)

const (
	maxLimitNames = 20  // organizations and repositories of one credential
	maxLimitName  = 200 // bytes
)

// limited reports whether anything is left out.
func (l *Limits) limited() bool { return l != nil && (l.Only != AnyUse || len(l.In) > 0) }

// check looks at limits that a client wants. Errors: fault.Invalid.
func (l *Limits) check() error {
	if l.Only != AnyUse && l.Only != PullOnly && l.Only != PushPull {
		return fault.New(fault.Invalid, "use is all, %s or %s.", PushPull, PullOnly)
	}
	if len(l.In) > maxLimitNames {
		return fault.New(fault.Invalid, "scopes has at most %d organizations and repositories.", maxLimitNames)
	}
	for _, name := range l.In {
		if !isPath(name) {
			return fault.New(fault.Invalid, "scopes: %q is not the name of an organization or of a repository such as acme/app.", clip(name))
		}
	}
	slices.Sort(l.In)
	l.In = slices.Compact(l.In)
	return nil
}

// isPath reports names like acme and acme/team/app. That there is such a thing
// is not needed.
func isPath(s string) bool {
	if len(s) > maxLimitName || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != "" {
		return false
	}
	return !slices.Contains(strings.Split(s, "/"), "")
}

// text is how limits are stored; empty: none.
func (l *Limits) text() (string, error) {
	if !l.limited() {
		return "", nil
	}
	b, err := json.Marshal(l)
	return string(b), err
}

func parseLimits(s string) (*Limits, error) {
	if s == "" {
		return nil, nil
	}
	l := &Limits{}
	if err := json.Unmarshal([]byte(s), l); err != nil {
		return nil, fmt.Errorf("iam: the limits of a credential: %w", err)
	}
	return l, nil
}

// pulling and pushing are all that credentials of these uses are good for.
// Lists of the account are among them; those of one that is limited to some
// organizations are not.
var (
	pulling = []Action{Pull, ShowOrg, ShowRepo, ListTags, ListOrgs, ListRepos}
	pushing = []Action{Push, UploadPage, CreateRepo, CreateTag}
)

// permit reports whether the limits leave this. Whatever is not about the
// content of organizations is left to credentials without limits: from users,
// keys and further credentials one could make more than one has.
func (l *Limits) permit(do Action, r rule, on Resource) bool {
	switch l.Only {
	case PullOnly, PushPull:
		if !slices.Contains(pulling, do) && !(l.Only == PushPull && slices.Contains(pushing, do)) {
			return false
		}
	default:
		// A list of the account may be narrowed to one organization.
		if r.scope != onContent && do != ListRepos {
			return false
		}
	}
	return len(l.In) == 0 || l.covers(on.Name)
}

// covers reports whether a name is one of those, or that of a repository in one
// of those organizations.
func (l *Limits) covers(name string) bool {
	return name != "" && slices.ContainsFunc(l.In, func(in string) bool {
		org, _, inside := strings.Cut(name, "/")
		return name == in || inside && org == in
	})
}

// refusal is the sentence for who may not with this credential alone.
func (l *Limits) refusal(r rule, on Resource) string {
	var to string
	switch {
	case l.Only == PullOnly:
		to = "pulling"
	case l.Only == PushPull:
		to = "pulling and pushing"
	}
	if len(l.In) > 0 {
		if to != "" {
			to += " in "
		}
		to += strings.Join(l.In, ", ")
	}
	return fmt.Sprintf("You may not %s with this access credential: it is limited to %s.", phrase(r, on), to)
}
