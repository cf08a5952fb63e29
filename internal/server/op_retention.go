package server

import (
	"context"
	"strconv"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
)

// RetentionOf is the argument of operations on the retention of a repository.
type RetentionOf struct {
	Repo   string `json:"repository"`
	Keep   int    `json:"keep"`   // simulate a rule by number, 0: none
	Days   int    `json:"days"`   // simulate a rule by age, 0: none; without both the stored policy is simulated
	Except string `json:"except"` // a regular expression for both, empty: none
}

// RetentionRule is a rule as the command shows it.
type RetentionRule struct {
	Rule   string   `json:"rule"`   // such as "tag_rule 5"
	Except []string `json:"except"` // such as "regexp ^release-"
}

// RetentionState is the policy of a repository and how it acts. Times are null
// for never.
type RetentionState struct {
	ID          int64           `json:"retention_id"`
	Rules       []RetentionRule `json:"rules"`
	State       string          `json:"state"`
	LastRun     *time.Time      `json:"last_run"`
	LastDelete  *time.Time      `json:"last_delete"`
	Deleted     int64           `json:"last_deleted"`
	DeletedAll  int64           `json:"deleted_total"`
	Error       string          `json:"last_error"`
	Next        *time.Time      `json:"next_run"`
	WouldDelete int64           `json:"would_delete"` // of one that waits to be confirmed, of WouldSee tags
	WouldSee    int64           `json:"would_see"`
}

// SimulatedTag is what a policy would do to a tag.
type SimulatedTag struct {
	Tag       string        `json:"tag"`
	Digest    string        `json:"digest"`
	Delete    bool          `json:"delete"`
	Rule      string        `json:"rule"` // the one that decided, such as "tag_rule 5"
	Rank      int           `json:"rank"` // 0: the rule does not count the tag
	Age       time.Duration `json:"age_ns"`
	Exception string        `json:"exception"` // the selector that exempts it, such as "regexp ^release-"
	Others    int           `json:"siblings_total"`
}

// Simulated is what a policy would do to a repository, the newest tags first.
type Simulated struct {
	Tags      []SimulatedTag `json:"tags"`
	Total     int            `json:"total"`
	Deleted   int            `json:"delete"`
	Manifests int64          `json:"freed_manifests"`
	Blobs     int64          `json:"freed_blobs"`
	Bytes     int64          `json:"freed_bytes"`
}

// ShowRetention shows the policy of a repository.
var ShowRetention = Op[RetentionOf, RetentionState]{"retention.show", func(ctx context.Context, c *core, in RetentionOf) (RetentionState, error) {
	name, p, err := c.policyOf(ctx, in.Repo)
	if err != nil {
		return RetentionState{}, err
	}
	s, err := c.registry.RetentionStatus(ctx, iam.Operator(), name, p.ID)
	out := RetentionState{ID: p.ID, Rules: make([]RetentionRule, len(p.Policy.Rules)), State: string(s.State), LastRun: ifAny(s.Looked), LastDelete: ifAny(s.Acted), Deleted: s.Removed,
		DeletedAll: s.RemovedAll, Error: s.Error, Next: ifAny(s.Next), WouldDelete: s.WouldDelete, WouldSee: s.WouldSee}
	for i, r := range p.Policy.Rules {
		out.Rules[i] = RetentionRule{ruleName(r), make([]string, len(r.Except))}
		for k, x := range r.Except {
			out.Rules[i].Except[k] = selectorName(x)
		}
	}
	return out, err
}}

// SimulateRetention tells what a policy would do now. Nothing is changed.
var SimulateRetention = Op[RetentionOf, Simulated]{"retention.simulate", func(ctx context.Context, c *core, in RetentionOf) (Simulated, error) {
	name, err := oci.ParseName(in.Repo)
	if err != nil {
		return Simulated{}, err
	}
	s, err := c.registry.SimulateRetention(ctx, iam.Operator(), name, in.draft(), 0)
	if err != nil {
		return Simulated{}, err
	}
	out := Simulated{Tags: []SimulatedTag{}, Total: s.Tags, Deleted: s.Deleted, Manifests: s.Freed.Manifests, Blobs: s.Freed.Blobs, Bytes: s.Freed.Bytes}
	for t := range s.All() {
		out.Tags = append(out.Tags, simulatedTag(t, s.Policy))
	}
	return out, nil
}}

// ConfirmRetention lets the policy of a repository act that waits.
var ConfirmRetention = Op[RetentionOf, None]{"retention.confirm", func(ctx context.Context, c *core, in RetentionOf) (None, error) {
	name, p, err := c.policyOf(ctx, in.Repo)
	if err != nil {
		return None{}, err
	}
	return None{}, c.registry.ConfirmRetention(ctx, iam.Operator(), name, p.ID)
}}

// policyOf finds the policy of a repository.
func (c *core) policyOf(ctx context.Context, repo string) (oci.Name, registry.Retention, error) {
	name, err := oci.ParseName(repo)
	if err != nil {
		return name, registry.Retention{}, err
	}
	list, err := c.registry.Retentions(ctx, iam.Operator(), name)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.RuleUnknown, "The repository %s has no retention policy.", name)
	}
	if err != nil {
		return name, registry.Retention{}, err
	}
	return name, list[0], nil
}

func simulatedTag(t registry.SimulatedTag, p retention.Policy) SimulatedTag {
	rule := p.Rules[t.Rule]
	out := SimulatedTag{Tag: t.Name, Digest: string(t.Digest), Delete: t.Delete, Rule: ruleName(rule), Rank: t.Rank, Age: t.Age, Others: t.Others}
	if t.Except >= 0 {
		out.Exception = selectorName(rule.Except[t.Except])
	}
	return out
}

func ifAny(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// draft is the policy that is to be simulated, nil for the stored one.
func (in RetentionOf) draft() *retention.Policy {
	except := []retention.Selector{}
	if in.Except != "" {
		except = append(except, retention.Selector{Kind: retention.Regexp, Pattern: in.Except})
	}
	p := &retention.Policy{}
	if in.Keep != 0 {
		p.Rules = append(p.Rules, retention.Rule{Template: retention.ByNumber, N: in.Keep, Except: except})
	}
	if in.Days != 0 {
		p.Rules = append(p.Rules, retention.Rule{Template: retention.ByAge, N: in.Days, Except: except})
	}
	if len(p.Rules) == 0 {
		return nil
	}
	return p
}

func ruleName(r retention.Rule) string         { return string(r.Template) + " " + strconv.Itoa(r.N) }
func selectorName(s retention.Selector) string { return string(s.Kind) + " " + s.Pattern }
