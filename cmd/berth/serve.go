package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"berth.dev/berth/internal/server"
)

// version is set by the linker for releases; else the build's own record is
// taken.
var version string

const warnings = slog.LevelWarn

func serveCommands() []command {
	return []command{{
		name:  "serve",
		short: "Run the registry",
		long: `The registry answers until SIGTERM or Ctrl-C and then finishes what is in flight.
A start without a registry in DIR makes one: the account admin with the user
admin, whose password is shown once, or is taken from BERTH_ADMIN_PASSWORD or
the file that BERTH_ADMIN_PASSWORD_FILE names.

Each flag is also a key of the configuration file and a BERTH_ variable:
--log-level is log.level and BERTH_LOG_LEVEL.`,
		examples: `berth serve
			berth serve --data /var/lib/berth --listen 127.0.0.1:5000
			berth serve --data /var/lib/berth --listen :443 --tls-cert berth.crt --tls-key berth.key
			berth serve --config /etc/berth.yaml`,
		run: serve,
	}}
}

func serve(c *call) (result, error) {
	cfg, err := c.config()
	if err != nil {
		return result{}, err
	}
	// What is live is a few MiB; by default the garbage collector would run
	// several times a second under load to keep the heap at twice that.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
	return result{}, server.Run(c.ctx, cfg, server.Outlets{Version: versionText(), Program: os.Args[0], Out: c.out, Log: c.err, Opened: moreProcs})
}

// maxSpare bounds how many processors of Go's scheduler there are beside one
// for each core.
const maxSpare = 16

// moreProcs gives Go's scheduler more processors than there are cores. Writing
// and syncing files keeps one of them busy, and the core idle, until the runtime
// notices: with one for each core a third of a small machine was idle while
// clients pushed.
func moreProcs() {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	cores := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(cores + min(cores, maxSpare))
}

func otherCommands() []command {
	return []command{
		{
			name:  "fsck",
			short: "Prove that the registry's data fit together",
			long: `Every reference must resolve, every blob must have its bytes, and nothing in
storage may be unaccounted for. With --deep all bytes are read and compared with
their digests. Nothing is changed, and pushes may go on meanwhile.
The exit code is 1 where damage is found.`,
			examples: `berth fsck --data /var/lib/berth
				berth fsck --deep --output json`,
			flags: boolFlag("deep", "read all bytes and compare their digests", func(o *options) *bool { return &o.deep }),
			run:   fsck,
		},
		{
			name:  "config print",
			short: "Show the configuration that would be used, without secrets",
			long:  "Behind each value stands where it comes from. The result is a configuration file.",
			examples: `berth config print
				berth config print --config /etc/berth.yaml --log-level debug > merged.yaml`,
			run: printConfig,
		},
		{
			name:     "version",
			short:    "Show the version",
			examples: `berth version --output json`,
			run: func(*call) (result, error) {
				return result{value: map[string]string{"version": versionText(), "go": runtime.Version()}, text: "berth " + versionText()}, nil
			},
		},
	}
}

func fsck(c *call) (result, error) {
	r, err := with(c, func(l *server.Local) (server.Report, error) {
		return server.Call(c.ctx, l, server.Fsck, server.Check{Deep: c.deep})
	})
	if err != nil {
		return result{}, err
	}
	res := result{value: r}
	if len(r.Listed) > 0 {
		res.table = [][]string{{"CHECK", "SUBJECT", "DAMAGE"}}
		for _, f := range r.Listed {
			res.table = append(res.table, []string{f.Check, f.Subject, f.Detail})
		}
	}
	res.text = fmt.Sprintf("%d repositories, %d tags, %d manifests, %d blobs, %d keys in storage: ", r.Repositories, r.Tags, r.Manifests, r.Blobs, r.Keys)
	if r.Findings == 0 {
		res.text += "no damage."
		return res, nil
	}
	res.text += fmt.Sprintf("%d times damage.", r.Findings)
	res.after = exitCode(exitFailed)
	return res, nil
}

func printConfig(c *call) (result, error) {
	cfg, err := c.config()
	if err != nil {
		return result{}, err
	}
	var text strings.Builder
	if err := cfg.Print(&text); err != nil {
		return result{}, err
	}
	return result{value: cfg.Settings(), text: text.String()}, nil
}

func versionText() string {
	if version != "" {
		return version
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
