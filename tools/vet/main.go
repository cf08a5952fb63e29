// Command vet holds the analyzers that the project runs beside go vet and
// staticcheck. It is given to `go vet -vettool`, whose results the build cache
// keeps, so that only what changed is looked at again.
//
// Each analyzer is here for a defect that a registry cannot afford and that
// neither go vet nor staticcheck finds:
//
//   - errcheck: an error nobody looks at. A write or a commit that failed
//     unnoticed is an acknowledged image that is not there.
//   - errorlint: errors compared by == or by type assertion. They stop being
//     found as soon as somebody wraps them.
//   - bodyclose: a response body left open, which keeps its connection.
//   - sqlclosecheck: rows left open. SQLite then holds a read snapshot for
//     good and its log grows without end.
//
// They judge what reaches users; about test files they are silent.
package main

import (
	"strings"

	"github.com/kisielk/errcheck/errcheck"
	"github.com/polyfloyd/go-errorlint/errorlint"
	sqlclosecheck "github.com/ryanrolds/sqlclosecheck/pkg/analyzer"
	"github.com/timakin/bodyclose/passes/bodyclose"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

// harmless lists functions whose error nobody can act on.
var harmless = []string{
	// What must be durable is synced before it is closed, and a failed sync
	// is looked at; closing what was read tells nothing.
	"(*os.File).Close", "(io.Closer).Close", "(io.ReadCloser).Close",
	"(net.Conn).Close", "(net.Listener).Close",
	"(*database/sql.Rows).Close", "(*database/sql.Stmt).Close", "(*database/sql.Conn).Close",
	// It follows another error, which is the one to report.
	"(*database/sql.Tx).Rollback",
	// The reader went away: a client, or the terminal.
	"(net/http.ResponseWriter).Write",
	"fmt.Fprint", "fmt.Fprintf", "fmt.Fprintln",
}

func main() {
	errcheck.DefaultExcludedSymbols = append(errcheck.DefaultExcludedSymbols, harmless...)
	unitchecker.Main(
		outsideTests(errcheck.Analyzer),
		outsideTests(errorlint.NewAnalyzer()),
		outsideTests(bodyclose.Analyzer),
		outsideTests(sqlclosecheck.NewAnalyzer()),
	)
}

// outsideTests makes an analyzer silent about test files.
func outsideTests(a *analysis.Analyzer) *analysis.Analyzer {
	run := a.Run
	a.Run = func(pass *analysis.Pass) (any, error) {
		quiet := *pass
		quiet.Report = func(d analysis.Diagnostic) {
			if !strings.HasSuffix(pass.Fset.Position(d.Pos).Filename, "_test.go") {
				pass.Report(d)
			}
		}
		return run(&quiet)
	}
	return a
}
