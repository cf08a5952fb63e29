package iam

import (
	"fmt"
	"strings"
)

// refusal is the sentence for a caller who is known and may not. It says what
// right is missing where. To a caller without any right it says the same
// whether the thing belongs to someone else or does not exist.
func refusal(r rule, s *standing, who Caller, on Resource) string {
	switch r.scope {
	case onInstallation:
		return fmt.Sprintf("Only an administrator of the first account or the operator may %s.", r.does)
	case onAccount, onUser:
		return fmt.Sprintf("Only an administrator of the account may %s.", r.does)
	case inAccount:
		if on.Organization == 0 || on.Account != who.Account {
			return fmt.Sprintf("You may %s in your own account only.", r.does)
		}
	}
	var have Right
	if on.Account == who.Account {
		have = max(s.Org, s.Repo)
	}
	org, _, inside := strings.Cut(on.Name, "/")
	switch {
	case inside && on.Repository == 0 && have >= Read:
		return fmt.Sprintf("You may read in the organization %s but not %s: that takes %s.", org, phrase(r, on), r.need(on))
	case inside && (have >= Read || on.Public):
		return fmt.Sprintf("You may pull from %s but not %s it: that takes %s.", on.Name, r.does, r.need(on))
	case have >= Read:
		return fmt.Sprintf("You may see the organization %s but not %s it: that takes %s.", org, r.does, r.need(on))
	case r.repo == None && inside:
		return fmt.Sprintf("You may not %s: the organization %s does not exist or you have no right on it; create it, or ask for the right %s.", phrase(r, on), org, r.org)
	}
	return fmt.Sprintf("You may not %s: it does not exist or you lack %s.", phrase(r, on), r.need(on))
}

// phrase is "push to acme/app".
func phrase(r rule, on Resource) string {
	switch {
	case r.scope == inAccount && r.org != None && on.Name != "":
		return r.does + " of " + on.Name
	case r.scope != onContent:
		return r.does
	case on.Name == "":
		return r.does + " this"
	}
	return r.does + " " + on.Name
}

// need is the missing right and where it would count.
func (r rule) need(on Resource) string {
	org, _, inside := strings.Cut(on.Name, "/")
	switch {
	case !inside || r.repo == None:
		return fmt.Sprintf("the right %s on the organization %s", r.org, org)
	case r.org == r.repo:
		return fmt.Sprintf("the right %s on it or on the organization %s", r.org, org)
	}
	return fmt.Sprintf("the right %s on the organization %s or %s on the repository", r.org, org, r.repo)
}
