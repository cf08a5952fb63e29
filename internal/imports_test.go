// Package internal_test holds the tests that look at the program as a whole:
// who imports whom, and what every method of the core has in common.
package internal_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "berth.dev/berth"

// The table of docs/architecture.md is not a description but the rule.
func TestImports(t *testing.T) {
	doc, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRules(string(doc))
	if err != nil {
		t.Fatal(err)
	}
	files, err := readTree("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files were found", len(files))
	}
	for _, problem := range r.check(files) {
		t.Error(problem)
	}
}

// rules say what a package may import.
type rules struct {
	ours   map[string][]string // package -> ours it may import; "*": all but those for tests
	others map[string][]string // import, with all below it -> packages that may import it
}

// badNames would say nothing about what is inside.
var badNames = []string{"base", "common", "dao", "helper", "helpers", "lib", "manager", "misc", "model", "models", "service", "shared", "tool", "types", "util", "utils"}

// source is what matters of one source file.
type source struct {
	path    string // from the root
	dir     string // of its package, without internal/
	name    string // of its package
	imports []string
}

// check returns one sentence per broken rule.
func (r rules) check(files []source) []string {
	var problems []string
	report := func(f source, format string, args ...any) {
		problems = append(problems, f.path+": "+fmt.Sprintf(format, args...))
	}
	for _, f := range files {
		may, ok := r.ours[f.dir]
		if !ok {
			report(f, "the package %s is not in the table of docs/architecture.md", f.dir)
			continue
		}
		if slices.Contains(badNames, f.name) || slices.Contains(badNames, path.Base(f.dir)) {
			report(f, "%s is no name for a package: name what is in it", f.name)
		}
		for _, imp := range f.imports {
			if p, ok := strings.CutPrefix(imp, module+"/"); ok {
				p = strings.TrimPrefix(p, "internal/")
				all := slices.Contains(may, "*") && !strings.HasSuffix(p, "test")
				if !all && !slices.Contains(may, p) {
					report(f, "%s may not import %s", f.dir, p)
				}
				continue
			}
			for other, users := range r.others {
				if (imp == other || strings.HasPrefix(imp, other+"/")) && !slices.Contains(users, f.dir) {
					report(f, "%s may not import %s; %s may", f.dir, imp, strings.Join(users, ", "))
				}
			}
		}
	}
	return problems
}

// parseRules reads the blocks of the document that are marked as imports and
// restricted. Each line is a name, an arrow, and names.
func parseRules(doc string) (rules, error) {
	r := rules{ours: map[string][]string{}, others: map[string][]string{}}
	var block map[string][]string
	for n, line := range strings.Split(doc, "\n") {
		switch line = strings.TrimSpace(line); {
		case line == "```imports":
			block = r.ours
		case line == "```restricted":
			block = r.others
		case strings.HasPrefix(line, "```"):
			block = nil
		case block != nil && line != "":
			name, names, ok := strings.Cut(line, "->")
			name = strings.TrimSpace(name)
			if _, twice := block[name]; !ok || name == "" || twice {
				return r, fmt.Errorf("line %d is no rule, or one for a name that has one: %s", n+1, line)
			}
			block[name] = strings.Fields(names)
		}
	}
	if len(r.ours) == 0 || len(r.others) == 0 {
		return r, fmt.Errorf("the document has no rules: it has blocks of neither kind")
	}
	for name, may := range r.ours {
		for _, p := range may {
			if _, ok := r.ours[p]; !ok && p != "*" {
				return r, fmt.Errorf("%s may import %s, which is not in the table", name, p)
			}
		}
	}
	return r, nil
}

// readTree reads the module at root: every Go file that is not a test, without
// the modules nested in it.
func readTree(root string) ([]source, error) {
	var files []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel != "." && !isOurs(p, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), text)
		files = append(files, f)
		return err
	})
	return files, err
}

// isOurs reports whether a directory belongs to the module around it.
func isOurs(dir, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return os.IsNotExist(err)
}

func parse(file string, text []byte) (source, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	s := source{path: file, dir: strings.TrimPrefix(path.Dir(file), "internal/"), name: f.Name.Name}
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, p)
	}
	return s, nil
}
