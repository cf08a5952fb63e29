package target

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(t *testing.T, text string) ([]*Target, error) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "targets.json")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(p, "", "/bin-dir")
}

func TestPlaceholders(t *testing.T) {
	t.Setenv("BENCH_TEST_VALUE", "from the environment")
	ts, err := load(t, `[{"name":"a","url":"http://127.0.0.1:5001","root":"/x/bench-a","start":["{{BIN}}/a","{{ADDR}}"],
		"files":{"c":"port {{PORT}} in {{ROOT}}: {{BENCH_TEST_VALUE}}"},"scale":{"tags":1,"repositories":1}}]`)
	if err != nil {
		t.Fatal(err)
	}
	a := ts[0]
	if a.Start[0] != "/bin-dir/a" || a.Start[1] != "127.0.0.1:5001" || a.Storage != "/x/bench-a" {
		t.Errorf("start %q, storage %q", a.Start, a.Storage)
	}
	if got, want := a.Files["c"], "port 5001 in /x/bench-a: from the environment"; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
}

func TestRefusesBadTargets(t *testing.T) {
	for text, want := range map[string]string{
		`[{"name":"a","url":"http://h","root":"/home","start":["x"],"scale":{}}]`:                   "must start with bench-",
		`[{"name":"a","url":"http://h","root":"/bench-a","start":["{{BENCH_ABSENT}}"],"scale":{}}]`: "BENCH_ABSENT",
		`[{"name":"a","url":"http://h","unknown":1}]`:                                               "unknown",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error about %q", text, err, want)
		}
	}
}

func TestShippedTargetsLoad(t *testing.T) {
	t.Setenv("BENCH_POSTGRES", "postgres://127.0.0.1/bench")
	ts, err := Load("../../targets.json", "berth,distribution", "/bin")
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) != 2 || ts[0].Name != "berth" {
		t.Errorf("got %d targets, first %q", len(ts), ts[0].Name)
	}
	if _, err := Load("../../targets.json", "", "/bin"); err != nil {
		t.Error(err)
	}
}
