// Package berthtest runs the real berth binary for tests: on SQLite or a
// private PostgreSQL, over http or TLS with a private CA, on any data
// directory, stopped kindly or killed.
package berthtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// built is where the binary stands that this process built; empty: nowhere.
var built string

// Main runs a package's tests, and removes what was built for them.
func Main(run func() int) int {
	defer func() {
		if built != "" {
			_ = os.RemoveAll(built) // nothing depends on it
		}
	}()
	return run()
}

// binary is the path of the berth command: BERTH_BINARY if set, else built
// from the module around this one, once for each test process.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("BERTH_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", fmt.Errorf("berthtest: where is the source?")
	}
	dir, err := os.MkdirTemp("", "berth-bin-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "berth")
	build := exec.Command("go", "build", "-o", path, "./cmd/berth")
	build.Dir = filepath.Join(filepath.Dir(here), "..", "..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/berth: %w\n%s", err, out)
	}
	return path, nil
})
