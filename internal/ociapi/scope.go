package ociapi

import (
	"slices"
	"strings"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

// maxScopes bounds the resources of one token request.
const maxScopes = 64

// actions are those of a repository that a token can be issued for, in the
// order a token lists them.
var actions = [...]struct {
	name access
	do   iam.Action
}{{pull, iam.Pull}, {push, iam.Push}, {remove, iam.DeleteTag}}

// parseScopes reads the scope parameters of a token request ("type:name:a,b",
// several in one parameter parted by spaces) and joins those for the same
// resource. What no resource of this registry can be is left out.
//
// Errors: fault.Invalid for more than maxScopes.
func parseScopes(params []string) ([]iam.Access, error) {
	var list []iam.Access
	for _, p := range params {
		for s := range strings.FieldsSeq(p) {
			a, ok := parseScope(s)
			if !ok {
				continue
			}
			i := slices.IndexFunc(list, func(b iam.Access) bool { return b.Type == a.Type && b.Name == a.Name })
			if i < 0 {
				if len(list) == maxScopes {
					return nil, fault.New(fault.Invalid, "A token is for at most %d resources.", maxScopes)
				}
				list = append(list, a)
				continue
			}
			list[i].Actions = append(list[i].Actions, a.Actions...)
		}
	}
	for i := range list {
		list[i].Actions = tidy(list[i])
	}
	return list, nil
}

// parseScope cuts at the first and the last colon. A type may carry a class,
// as in "repository(plugin)".
func parseScope(s string) (iam.Access, bool) {
	i, j := strings.IndexByte(s, ':'), strings.LastIndexByte(s, ':')
	if i < 0 || i == j {
		return iam.Access{}, false
	}
	kind, _, _ := strings.Cut(s[:i], "(")
	a := iam.Access{Type: kind, Name: s[i+1 : j], Actions: strings.Split(s[j+1:], ",")}
	switch kind {
	case "repository":
		_, err := oci.ParseName(a.Name)
		return a, err == nil
	case "registry":
		return a, a.Name == "catalog"
	}
	return iam.Access{}, false
}

// tidy returns the known actions, each once and in order; "*" stands for all.
func tidy(a iam.Access) []string {
	all := slices.Contains(a.Actions, "*")
	if a.Type == "registry" {
		if all {
			return []string{"*"}
		}
		return nil
	}
	var known []string
	for _, x := range actions {
		if all || slices.Contains(a.Actions, string(x.name)) {
			known = append(known, string(x.name))
		}
	}
	return known
}

// granted is what of the wanted access the caller has a right to. The list is
// never nil: nil would be a token for everything.
func (a *API) granted(c *call, wanted []iam.Access) ([]iam.Access, error) {
	list := []iam.Access{}
	for _, w := range wanted {
		has := w.Actions
		if w.Type == "repository" {
			has = nil
			for _, x := range actions {
				if !slices.Contains(w.Actions, string(x.name)) || c.who.Anonymous() && x.name != pull {
					continue
				}
				switch err := a.may(c, oci.Name(w.Name), x.do); {
				case err == nil:
					has = append(has, string(x.name))
				case fault.Is(err, fault.Denied), fault.Is(err, fault.Unauthorized), fault.Is(err, fault.OrgUnknown):
				default:
					return nil, err
				}
			}
		}
		if len(has) > 0 {
			list = append(list, iam.Access{Type: w.Type, Name: w.Name, Actions: has})
		}
	}
	return list, nil
}
