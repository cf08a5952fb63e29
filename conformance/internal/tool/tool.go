// Package tool runs registry clients as a person would, each test in a home
// directory of its own: no client finds a login, a cache or a configuration
// that the test did not make.
package tool

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth.dev/berth/conformance/internal/berthtest"
)

// patience bounds one command; most take well under a second.
const patience = 2 * time.Minute

// Home is where a test's clients live.
type Home struct {
	Dir string // HOME; DOCKER_CONFIG is Dir/.docker

	t   testing.TB
	env []string
}

// New makes a home. Each setting is NAME=VALUE in the clients' environment.
func New(t testing.TB, settings ...string) *Home {
	t.Helper()
	// Not t.TempDir: podman leaves files behind that only a shorter path and
	// a patient removal can cope with.
	dir, err := os.MkdirTemp("", "home-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "XDG_RUNTIME_DIR=" + dir, "XDG_CONFIG_HOME=" + dir + "/.config",
		"XDG_CACHE_HOME=" + dir + "/.cache", "XDG_DATA_HOME=" + dir + "/.local/share",
		"DOCKER_CONFIG=" + dir + "/.docker", "REGISTRY_AUTH_FILE=" + dir + "/auth.json",
	}
	return &Home{Dir: dir, t: t, env: append(env, settings...)}
}

// Path is a path inside the home.
func (h *Home) Path(name string) string { return filepath.Join(h.Dir, name) }

// Set adds NAME=VALUE to the clients' environment.
func (h *Home) Set(setting string) { h.env = append(h.env, setting) }

// Run runs a command that must succeed, and returns its output without the
// white space around it.
func (h *Home) Run(name string, args ...string) string {
	h.t.Helper()
	return h.RunInput("", name, args...)
}

// RunInput is Run with a standard input.
func (h *Home) RunInput(input, name string, args ...string) string {
	h.t.Helper()
	out, problem, err := h.run(input, name, args...)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, problem)
	}
	return strings.TrimSpace(out)
}

// Fails runs a command that must fail, and returns what it said.
func (h *Home) Fails(name string, args ...string) string {
	h.t.Helper()
	return h.FailsInput("", name, args...)
}

// FailsInput is Fails with a standard input.
func (h *Home) FailsInput(input, name string, args ...string) string {
	h.t.Helper()
	out, problem, err := h.run(input, name, args...)
	if err == nil {
		h.t.Fatalf("%s %s succeeded, and should not have\n%s%s", name, strings.Join(args, " "), out, problem)
	}
	return out + problem
}

func (h *Home) run(input, name string, args ...string) (out, problem string, err error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	var o, p bytes.Buffer
	c := exec.CommandContext(ctx, h.find(name), args...)
	c.Dir, c.Env = h.Dir, h.env
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &o, &p
	c.WaitDelay = 5 * time.Second
	err = c.Run()
	return o.String(), p.String(), err
}

// Has says that a command is there.
func Has(name string) bool { return find(name) != "" }

func (h *Home) find(name string) string {
	h.t.Helper()
	path := find(name)
	if path == "" {
		berthtest.Missing(h.t, berthtest.Clients, "%s is not here: run conformance/install.sh", name)
	}
	return path
}

// find looks where install.sh puts commands, then in PATH.
func find(name string) string {
	dir := os.Getenv("BERTH_TOOLS")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".cache", "berth-tools")
	}
	if path := filepath.Join(dir, "bin", name); executable(path) {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return ""
	}
	return path
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
