package berthtest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What a test may need of its machine, as TEST_REQUIRE names it.
const (
	Clients  = "clients"  // everything that install.sh brings, and root
	Mount    = "mount"    // the right to mount a file system
	Postgres = "postgres" // a PostgreSQL server's programs
	Kube     = "kube"     // a Kubernetes control plane's programs
)

// Missing ends a test whose machine lacks something. It fails where CI is set
// or TEST_REQUIRE lists the need, so that nothing is left out unnoticed, and
// skips elsewhere.
func Missing(t testing.TB, need, format string, args ...any) {
	t.Helper()
	if Required(need) {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Required says that the absence of what is needed is a failure.
func Required(need string) bool {
	return os.Getenv("CI") != "" || slices.Contains(strings.Split(os.Getenv("TEST_REQUIRE"), ","), need)
}
