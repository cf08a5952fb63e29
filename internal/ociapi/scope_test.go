package ociapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/oci"
)

func TestParseScopes(t *testing.T) {
	repo := func(name string, actions ...string) iam.Access {
		return iam.Access{Type: "repository", Name: name, Actions: actions}
	}
	tests := []struct {
		in   []string
		want []iam.Access
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"repository:acme/app:pull"}, []iam.Access{repo("acme/app", "pull")}},
		{[]string{"repository:acme/app:push,pull"}, []iam.Access{repo("acme/app", "pull", "push")}},
		{[]string{"repository:acme/app:pull,push", "repository:acme/app:pull"}, []iam.Access{repo("acme/app", "pull", "push")}},
		{[]string{"repository:acme/app:pull repository:acme/app:pull,push"}, []iam.Access{repo("acme/app", "pull", "push")}},
		{[]string{"repository:beta/a/b:push,pull", "repository:acme/app:pull"}, []iam.Access{repo("beta/a/b", "pull", "push"), repo("acme/app", "pull")}},
		{[]string{"repository:acme/app:delete"}, []iam.Access{repo("acme/app", "delete")}},
		{[]string{"repository:acme/app:*"}, []iam.Access{repo("acme/app", "pull", "push", "delete")}},
		{[]string{"repository(plugin):acme/app:pull"}, []iam.Access{repo("acme/app", "pull")}},
		{[]string{"repository:acme/app:fly"}, []iam.Access{repo("acme/app")}},
		{[]string{"registry:catalog:*"}, []iam.Access{{Type: "registry", Name: "catalog", Actions: []string{"*"}}}},
		{[]string{"registry:catalog:pull", "registry:other:*"}, []iam.Access{{Type: "registry", Name: "catalog"}}},
		{[]string{"repository:ACME/app:pull", "repository:app:pull", "repository:library/app:pull", "repository:host:5000/acme/app:pull"}, nil},
		{[]string{"repository", "repository:", "repository:acme/app", ":::", "artifact:acme/app:pull"}, nil},
	}
	for _, tt := range tests {
		got, err := parseScopes(tt.in)
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%q: %v (-want +got):\n%s", tt.in, err, d)
		}
	}
}

func TestParseScopesIsBounded(t *testing.T) {
	var many []string
	for i := range maxScopes {
		many = append(many, fmt.Sprintf("repository:acme/app%d:pull", i))
	}
	if got, err := parseScopes(many); err != nil || len(got) != maxScopes {
		t.Errorf("%d scopes: %v", len(got), err)
	}
	if _, err := parseScopes(append(many, "repository:acme/more:pull")); !fault.Is(err, fault.Invalid) {
		t.Errorf("one too many: %v", err)
	}
}

func FuzzParseScopes(f *testing.F) {
	for _, s := range []string{"repository:acme/app:pull,push", "registry:catalog:*", "repository(x):a/b:*", ":", "::", "repository:a/b:pull repository:a/b:push"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseScopes([]string{s})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, a := range list {
			if key := a.Type + ":" + a.Name; seen[key] {
				t.Errorf("%q: %s twice", s, key)
			} else {
				seen[key] = true
			}
			if _, err := oci.ParseName(a.Name); a.Type == "repository" && err != nil {
				t.Errorf("%q gives the name %q", s, a.Name)
			}
			for _, x := range a.Actions {
				if !strings.Contains(" pull push delete * ", " "+x+" ") {
					t.Errorf("%q gives the action %q", s, x)
				}
			}
		}
	})
}
