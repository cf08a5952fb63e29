package guide

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode"

	"sigs.k8s.io/yaml"

	"berth.dev/berth/internal/fault"
)

// subjects are all that a guide can be about.
func subjects() []Subject {
	var out []Subject
	for _, address := range []string{"https://registry.example.com", "http://127.0.0.1:5000", "http://[::1]:5000"} {
		for i := range 8 {
			out = append(out, Subject{Address: address, User: []string{"alice", "acme/alice"}[i%2], Org: "team", Charts: i&2 != 0, Public: i&4 != 0, NoPush: i == 1})
		}
	}
	return out
}

// Every command is one that a shell reads, and every file is what its name says.
func TestForm(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not here")
	}
	for _, topic := range []Topic{Login, Push, Pull} {
		for _, s := range subjects() {
			g, err := New(topic, s)
			if err != nil || len(g.Steps) < 3 || g.Title == "" {
				t.Fatalf("%s of %+v: %+v, %v", topic, s, g, err)
			}
			var script strings.Builder
			for _, step := range g.Steps {
				if step.Title == "" || step.Text == "" && len(step.Commands) == 0 && step.Content == "" || (step.File == "") != (step.Content == "") {
					t.Errorf("a step that says nothing: %+v", step)
				}
				for _, command := range step.Commands {
					if strings.Contains(command, "\n") || strings.Contains(command, "  ") {
						t.Errorf("%q is not one line of words", command)
					}
					script.WriteString(command + "\n")
				}
				if strings.HasSuffix(step.File, ".yml") || strings.HasSuffix(step.File, ".yaml") || strings.HasSuffix(step.File, ".json") {
					var v map[string]any
					if err := yaml.Unmarshal([]byte(step.Content), &v); err != nil || len(v) == 0 {
						t.Errorf("%s: %v\n%s", step.File, err, step.Content)
					}
				}
			}
			check := exec.Command(bash, "-n")
			check.Stdin = strings.NewReader(script.String())
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s of %+v: %v %s\n%s", topic, s, err, out, script.String())
			}
			host := strings.TrimPrefix(strings.TrimPrefix(s.Address, "https://"), "http://")
			if !strings.Contains(script.String(), host) || s.Public && topic == Pull && strings.Contains(script.String(), Variable) {
				t.Errorf("%s of %+v:\n%s", topic, s, script.String())
			}
			if tls := strings.HasPrefix(s.Address, "https"); tls && (strings.Contains(script.String(), "insecure") || strings.Contains(script.String(), "plain-http") || strings.Contains(script.String(), "tls-verify")) {
				t.Errorf("a guide to a registry with TLS goes without:\n%s", script.String())
			}
		}
	}
}

// The languages differ in words alone.
func TestLanguages(t *testing.T) {
	chinese := func(text string) bool {
		return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
	}
	for _, topic := range []Topic{Login, Push, Pull} {
		for _, s := range subjects() {
			en, err := New(topic, s)
			if err != nil {
				t.Fatal(err)
			}
			s.Lang = Chinese
			zh, err := New(topic, s)
			if err != nil || zh.Lang != Chinese || en.Lang != English || len(zh.Steps) != len(en.Steps) || !chinese(zh.Title) || chinese(en.Title) {
				t.Fatalf("%+v, %v", zh, err)
			}
			for i, e := range en.Steps {
				z := zh.Steps[i]
				if e.Client != z.Client || !slices.Equal(e.Commands, z.Commands) || e.Content != z.Content || e.File != z.File {
					t.Errorf("%+v\n%+v", e, z)
				}
				if chinese(e.Title+e.Text) || e.Text != "" && !chinese(z.Text) {
					t.Errorf("%q and %q", e.Text, z.Text)
				}
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	good := Subject{Address: "https://registry.example.com", User: "alice", Org: "team"}
	change := func(f func(*Subject)) Subject { s := good; f(&s); return s }
	for name, test := range map[string]struct {
		topic Topic
		s     Subject
		want  fault.Code
	}{
		"no topic":        {"eat", good, fault.RuleUnknown},
		"no organization": {Push, change(func(s *Subject) { s.Org = "" }), fault.Missing},
		"no address":      {Login, change(func(s *Subject) { s.Address = "" }), fault.Invalid},
		"ftp":             {Login, change(func(s *Subject) { s.Address = "ftp://x" }), fault.Invalid},
		"shell in host":   {Login, change(func(s *Subject) { s.Address = "http://x;reboot" }), fault.Invalid},
		"shell in user":   {Login, change(func(s *Subject) { s.User = "$(reboot)" }), fault.Invalid},
		"shell in name":   {Pull, change(func(s *Subject) { s.Org = "a b" }), fault.Invalid},
		"flag as user":    {Login, change(func(s *Subject) { s.User = "--help" }), fault.Invalid},
	} {
		if _, err := New(test.topic, test.s); !fault.Is(err, test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if g, err := New(Login, change(func(s *Subject) { s.Org, s.User = "", "" })); err != nil || g.Steps[1].Commands[0] != `printf %s "$BERTH_CREDENTIAL" | docker login -u berth --password-stdin registry.example.com` {
		t.Errorf("%+v %v", g, err)
	}
}

func TestParseLang(t *testing.T) {
	for tag, want := range map[string]Lang{"zh": Chinese, "zh-CN": Chinese, " ZH_hans-cn ": Chinese, "en-GB": English, "de": "", "": "", "zhx": "", "*": ""} {
		if got, ok := ParseLang(tag); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %t", tag, got, ok)
		}
	}
}
