package internal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sampleRules = "Text.\n\n```imports\nfault ->\noci -> fault\ndb -> fault\ndb/dbtest -> db\nserver -> *\nutil ->\n```\n\n" +
	"```go\nx -> y\n```\n\n```restricted\ndatabase/sql -> db\nos -> server db/dbtest\n```\n"

// A rule that nothing breaks proves little, so here everything is broken once.
func TestImportCheckerFinds(t *testing.T) {
	r, err := parseRules(sampleRules)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, file, text string
		says             string // "" for nothing
	}{
		{"allowed", "internal/oci/a.go", `package oci; import ("strings"; "berth.dev/berth/internal/fault")`, ""},
		{"allowed from outside", "internal/db/a.go", `package db; import "database/sql/driver"`, ""},
		{"everything", "internal/server/a.go", `package server; import ("os/signal"; "berth.dev/berth/internal/oci")`, ""},
		{"a name that only starts alike", "internal/oci/a.go", `package oci; import "osmosis"`, ""},
		{"upwards", "internal/oci/a.go", `package oci; import "berth.dev/berth/internal/db"`, "oci may not import db"},
		{"under another name", "internal/oci/a.go", `package oci; import x "berth.dev/berth/internal/db"`, "oci may not import db"},
		{"for its effect", "internal/oci/a.go", `package oci; import _ "berth.dev/berth/internal/db"`, "oci may not import db"},
		{"for tests", "internal/server/a.go", `package server; import "berth.dev/berth/internal/db/dbtest"`, "server may not import db/dbtest"},
		{"outside", "internal/oci/a.go", `package oci; import "database/sql"`, "oci may not import database/sql; db may"},
		{"below outside", "internal/oci/a.go", `package oci; import "os/exec"`, "oci may not import os/exec"},
		{"unknown package", "internal/extra/a.go", `package extra`, "extra is not in the table"},
		{"unknown package below a known one", "internal/oci/more/a.go", `package more`, "oci/more is not in the table"},
		{"unknown package at the root", "a.go", `package main`, ". is not in the table"},
		{"bad name", "internal/util/a.go", `package util`, "util is no name"},
		{"bad name in the file alone", "internal/oci/a.go", `package common`, "common is no name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := parse(tt.file, []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(r.check([]source{f}), "\n")
			if tt.says == "" && got != "" || tt.says != "" && !strings.Contains(got, tt.says) {
				t.Errorf("got %q, want %q", got, tt.says)
			}
		})
	}
}

func TestParseRulesRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"no rules":          "```go\na -> b\n```\n",
		"one block":         "```imports\nfault ->\n```\n",
		"a rule twice":      strings.Replace(sampleRules, "oci -> fault", "oci -> fault\noci ->", 1),
		"no arrow":          strings.Replace(sampleRules, "oci -> fault", "oci fault", 1),
		"an unknown import": strings.Replace(sampleRules, "oci -> fault", "oci -> faults", 1),
	} {
		if _, err := parseRules(doc); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestReadTree(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                       "module x",
		"cmd/berth/main.go":            `package main; import "os"`,
		"internal/oci/a.go":            `package oci; import "strings"`,
		"internal/oci/a_test.go":       `package oci; import "database/sql"`,
		"internal/oci/testdata/bad.go": `package`,
		"internal/oci/notes.txt":       `package`,
		"bench/go.mod":                 "module y",
		"bench/main.go":                `package main; import "net/http"`,
		".hidden/main.go":              `package main`,
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := readTree(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.dir+" "+f.name+" "+strings.Join(f.imports, " "))
	}
	if want := "cmd/berth main os\noci oci strings"; strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if err := os.WriteFile(filepath.Join(root, "internal/oci/b.go"), []byte("package"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readTree(root); err == nil {
		t.Error("a file that does not parse is no error")
	}
}
