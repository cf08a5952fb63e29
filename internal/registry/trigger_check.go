package registry

import (
	"strconv"
	"strings"
	"unicode"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

// A Condition is how a trigger's pattern is read.
type Condition string

// The conditions.
const (
	EveryTag Condition = "all"     // the pattern is ".*"
	SomeTags Condition = "tag"     // tags, parted by semicolons
	Matching Condition = "regular" // an expression that finds tags by any part of them
)

// A ClusterMode is how a trigger names its cluster.
type ClusterMode string

// The modes.
const (
	ByName ClusterMode = "cce" // by id or name
	Marked ClusterMode = "cci" // the one that the account has marked for this
)

// A Workload is what in a cluster runs containers.
type Workload string

// The workloads.
const (
	Deployments  Workload = "deployments"
	StatefulSets Workload = "statefulsets"
)

// Bounds of a trigger's text, in bytes; the names in a cluster are those of
// Kubernetes.
const (
	maxRuleName  = 64
	maxCluster   = 128
	maxLabel     = 63
	maxSubdomain = 253
	maxPattern   = 4096 // of tags
)

// check tells whether the trigger makes sense, by itself. A fault names the
// member as clients write it. Errors: Missing, Invalid.
func (t Trigger) check() error {
	invalid := func(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }
	for _, m := range []struct{ member, value string }{
		{"name", t.Name}, {"app_type", string(t.Workload)}, {"application", t.Application}, {"cluster_ns", t.Namespace},
		{"trigger_type", string(t.Condition)}, {"condition", t.Pattern},
	} {
		if m.value == "" {
			return fault.New(fault.Missing, "The member %s is missing.", m.member)
		}
	}
	switch {
	case !isRuleName(t.Name):
		return invalid("name has 1 to %d letters, digits, dots, hyphens and underscores, with a letter or digit at both ends.", maxRuleName)
	case t.Workload != Deployments && t.Workload != StatefulSets:
		return invalid("app_type is %s or %s.", Deployments, StatefulSets)
	case !isSubdomain(t.Application, maxSubdomain):
		return invalid("application is the name of a workload in Kubernetes: 1 to %d lower-case letters, digits, hyphens and dots.", maxSubdomain)
	case !isLabel(t.Namespace):
		return invalid("cluster_ns is a namespace of Kubernetes: 1 to %d lower-case letters, digits and hyphens.", maxLabel)
	case t.Container != "" && !isLabel(t.Container):
		return invalid("container is the name of a container in Kubernetes: 1 to %d lower-case letters, digits and hyphens.", maxLabel)
	case t.Mode != ByName && t.Mode != Marked:
		return invalid("trigger_mode is %s or %s.", ByName, Marked)
	case t.Mode == ByName && t.ClusterID == "" && t.ClusterName == "":
		return fault.New(fault.Missing, "cluster_id or cluster_name is missing; a trigger of the mode %s needs one of them.", ByName)
	case !isLine(t.ClusterID, maxCluster):
		return invalid("cluster_id has at most %d bytes and no control characters.", maxCluster)
	case !isLine(t.ClusterName, maxCluster):
		return invalid("cluster_name has at most %d bytes and no control characters.", maxCluster)
	}
	return t.checkPattern()
}

func (t Trigger) checkPattern() error {
	var err error
	switch t.Condition {
	case EveryTag:
		if t.Pattern != ".*" {
			return fault.New(fault.Invalid, "condition is .* where trigger_type is %s.", EveryTag)
		}
	case SomeTags:
		if len(t.Pattern) > maxPattern {
			return fault.New(fault.Invalid, "condition has at most %d bytes.", maxPattern)
		}
		for tag := range strings.SplitSeq(t.Pattern, ";") {
			if _, err = oci.ParseTag(tag); err != nil {
				return fault.Wrap(fault.Invalid, err, "condition is tags parted by semicolons where trigger_type is %s; %s is no tag.", SomeTags, shown(tag))
			}
		}
	case Matching:
		if _, err = oci.ParsePattern(t.Pattern); err != nil {
			return fault.Wrap(fault.Invalid, err, "condition is a regular expression of RE2 where trigger_type is %s, of at most %d bytes and not too much repetition; this one is not.", Matching, oci.MaxPattern)
		}
	default:
		return fault.New(fault.Invalid, "trigger_type is %s, %s or %s.", EveryTag, SomeTags, Matching)
	}
	return nil
}

// isRuleName reports a name that a rule can have: it stands in addresses, and
// in ids of other programs between slashes.
func isRuleName(s string) bool {
	return len(s) <= maxRuleName && runs(s, func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }, "._-")
}

// isLabel reports a label as Kubernetes takes it (RFC 1123).
func isLabel(s string) bool { return len(s) <= maxLabel && runs(s, isLowerOrDigit, "-") }

// isSubdomain reports labels parted by dots.
func isSubdomain(s string, most int) bool {
	if len(s) > most {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !runs(label, isLowerOrDigit, "-") {
			return false
		}
	}
	return true
}

func isLowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// runs reports that s has bytes that are inner or one of between, inner ones
// at both ends.
func runs(s string, inner func(byte) bool, between string) bool {
	for i := 0; i < len(s); i++ {
		if !inner(s[i]) && (i == 0 || i == len(s)-1 || strings.IndexByte(between, s[i]) < 0) {
			return false
		}
	}
	return s != ""
}

// isLine reports text of one line that can be stored and shown.
func isLine(s string, most int) bool {
	return len(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == unicode.ReplacementChar })
}

// shown makes a stranger's text fit for a message.
func shown(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
