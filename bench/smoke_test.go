package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"berth.dev/berth/bench/internal/result"
	"berth.dev/berth/bench/internal/target"
	"berth.dev/berth/bench/internal/workload"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "bare" { // started by the run under test
		fmt.Fprintln(os.Stderr, command(os.Args[1:], os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestEveryGoalIsMeasured runs all workloads, a hundredth of their size, against the real
// binary: $BERTH_BINARY, or what ../cmd/berth builds. It judges no speed.
func TestEveryGoalIsMeasured(t *testing.T) {
	dir := t.TempDir()
	var all []result.Metric
	p := plan{targets: []*target.Target{berth(t, dir)}, workloads: workload.All(), reps: 1,
		options:  workload.Options{Factor: 0.01, Seed: 20e9, Rounds: 1},
		bareAddr: freeAddress(t), bareDir: filepath.Join(dir, "bare"),
		emit: func(m result.Metric) { all = append(all, m) }}
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
	_, err := exec.LookPath("strace")
	for _, m := range all {
		switch {
		case m.Failed && m.Workload == "syscalls" && err != nil:
			t.Logf("no system calls counted: %v", err)
		case m.Failed:
			t.Errorf("%s %s: %s", m.Workload, m.Name, m.Note)
		case m.Name == "lost" && m.Value != 0:
			t.Errorf("%v referrers were lost", m.Value)
		}
	}
	_, noCrane := exec.LookPath("crane")
	_, noRegctl := exec.LookPath("regctl")
	for _, what := range result.Unmeasured(all, "berth") {
		switch {
		case strings.Contains(what, "strace") && err != nil:
		case strings.Contains(what, "crane") && noCrane != nil && noRegctl != nil:
		default:
			t.Errorf("not measured: %s", what)
		}
	}
}

// berth is the shipped target, moved to free ports and a directory of the test.
func berth(t *testing.T, dir string) *target.Target {
	t.Helper()
	b, err := os.ReadFile("targets.json")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("127.0.0.1:5102", freeAddress(t), "127.0.0.1:5112", freeAddress(t), "127.0.0.1:5142", freeAddress(t),
		"/var/tmp/bench-berth", filepath.Join(dir, "bench-berth"), "{{BIN}}/berth", binary(t, dir)).Replace(string(b))
	file := filepath.Join(dir, "targets.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ts, err := target.Load(file, "berth", dir)
	if err != nil {
		t.Fatal(err)
	}
	return ts[0]
}

func binary(t *testing.T, dir string) string {
	t.Helper()
	if b := os.Getenv("BERTH_BINARY"); b != "" {
		return b
	}
	b := filepath.Join(dir, "berth")
	cmd := exec.Command("go", "build", "-o", b, "./cmd/berth")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building berth: %v\n%s", err, out)
	}
	return b
}

// freeAddress is free now; nothing else of the test takes it before its server does.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
