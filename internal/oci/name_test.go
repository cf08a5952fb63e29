package oci_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/oci"
)

func TestParseName(t *testing.T) {
	tests := []struct {
		in   string
		code fault.Code // "" for a good name
	}{
		{"a/b", ""},
		{"group/app", ""},
		{"group/app/blobs/uploads", ""},
		{"blobs/manifests/tags/list", ""},
		{"a-b.c_d__e/0.1-2_3__4/x", ""},
		{"group/0", ""},
		{strings.Repeat("a", 64) + "/" + strings.Repeat("b", 128), ""},
		{"", fault.NameInvalid},
		{"group", fault.RepoUnknown},
		{"Group", fault.NameInvalid},
		{"group/", fault.NameInvalid},
		{"/app", fault.NameInvalid},
		{"group//app", fault.NameInvalid},
		{"group/app/", fault.NameInvalid},
		{"Group/app", fault.NameInvalid},
		{"group/App", fault.NameInvalid},
		{"0group/app", fault.NameInvalid},
		{"group-/app", fault.NameInvalid},
		{"-group/app", fault.NameInvalid},
		{"group/app-", fault.NameInvalid},
		{"group/-app", fault.NameInvalid},
		{"group/a--b", fault.NameInvalid},
		{"group/a___b", fault.NameInvalid},
		{"group/a..b", fault.NameInvalid},
		{"group/a-_b", fault.NameInvalid},
		{"group/a/.b", fault.NameInvalid},
		{"group/a./b", fault.NameInvalid},
		{"group/../app", fault.NameInvalid},
		{"group/app\n", fault.NameInvalid},
		{"group/app\x00", fault.NameInvalid},
		{"group/äpp", fault.NameInvalid},
		{"gr$oup/app", fault.NameInvalid},
		{strings.Repeat("a", 65) + "/b", fault.NameInvalid},
		{"a/" + strings.Repeat("b", 129), fault.NameInvalid},
		{"manage/app", fault.Reserved},
		{"library/app", fault.Reserved},
		{"api/app", fault.Reserved},
		{"charts/app", fault.Reserved},
		{"libraries/app", ""},
		{"group/library", ""},
	}
	for _, tt := range tests {
		n, err := oci.ParseName(tt.in)
		if fault.CodeOf(err) != tt.code {
			t.Errorf("ParseName(%q): %v, want code %q", tt.in, err, tt.code)
		}
		if err == nil && string(n) != tt.in {
			t.Errorf("ParseName(%q) = %q", tt.in, n)
		}
	}
}

func TestNameParts(t *testing.T) {
	n, err := oci.ParseName("group/sub/app")
	if err != nil {
		t.Fatal(err)
	}
	if n.Organization() != "group" || n.Repository() != "sub/app" {
		t.Errorf("parts of %s: %q and %q", n, n.Organization(), n.Repository())
	}
}

// The grammar as it is published.
var (
	organization = regexp.MustCompile(`^[a-z]([a-z0-9]|(\.|-|_|__)[a-z0-9])*$`)
	repository   = regexp.MustCompile(`^[a-z0-9]+((\.|/|_|__|-)[a-z0-9]+)*$`)
)

func FuzzName(f *testing.F) {
	for _, s := range []string{"a/b", "a-b.c_d__e/f", "a___b/c", "a/b--c", "a/b/c/", "manage/x", "a_/b", "A/b", "a/\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		org, repo, _ := strings.Cut(s, "/")
		orgOK := organization.MatchString(org) && !strings.HasSuffix(org, "\n") && len(org) <= 64
		repoOK := repository.MatchString(repo) && !strings.HasSuffix(repo, "\n") && len(repo) <= 128

		_, err := oci.ParseOrganization(org)
		reserved := slices.Contains([]string{"manage", "library", "api", "charts"}, org)
		switch {
		case reserved && !fault.Is(err, fault.Reserved):
			t.Errorf("ParseOrganization(%q): %v, want it reserved", org, err)
		case !reserved && orgOK != (err == nil):
			t.Errorf("ParseOrganization(%q): %v, but the grammar says %v", org, err, orgOK)
		}
		if _, err := oci.ParseRepository(repo); repoOK != (err == nil) {
			t.Errorf("ParseRepository(%q): %v, but the grammar says %v", repo, err, repoOK)
		}
		n, err := oci.ParseName(s)
		if want := orgOK && repoOK && !reserved; want != (err == nil) {
			t.Errorf("ParseName(%q): %v, but the grammar says %v", s, err, want)
		}
		if err == nil && (n.Organization() != org || n.Repository() != repo) {
			t.Errorf("parts of %q: %q and %q", s, n.Organization(), n.Repository())
		}
	})
}
