// Package target describes the registries under test and runs their processes.
package target

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"berth.dev/berth/bench/internal/raw"
)

// Target is one registry. With Start set the driver owns it: a fresh directory for each
// repetition, start, restart, collection. Without, it is a server that already runs at
// URL, and what needs the process is left out.
//
// In all strings {{ROOT}}, {{ADDR}}, {{PORT}} and {{BIN}} are replaced, and {{NAME}} by the
// environment variable NAME; a target that needs a variable which is not set is an error.
type Target struct {
	Name     string            `json:"name"`
	URL      string            `json:"url"`
	User     string            `json:"user,omitempty"`
	Password string            `json:"password,omitempty"`
	Basic    bool              `json:"basic,omitempty"`   // send Basic at once instead of fetching tokens
	Root     string            `json:"root,omitempty"`    // wiped for each repetition; its name must start with bench-
	Storage  string            `json:"storage,omitempty"` // directory of the blobs, whose disk use is measured; default {{ROOT}}
	Files    map[string]string `json:"files,omitempty"`   // written below Root before the first start
	Env      map[string]string `json:"env,omitempty"`
	Init     [][]string        `json:"init,omitempty"`  // commands before the first start
	Start    []string          `json:"start,omitempty"` // the server itself, in the foreground
	Setup    [][]string        `json:"setup,omitempty"` // commands after the first start
	Collect  Collect           `json:"collect,omitzero"`
	Scale    Scale             `json:"scale"`
	Accounts []Account         `json:"accounts,omitempty"` // with which the management API is measured: a small one and a large one
	Peer     *Target           `json:"peer,omitempty"`     // another server of the same kind, to copy to
	Join     [][]string        `json:"join,omitempty"`     // of a peer: commands on the first one that make it known there as the region "peer"

	cmd  *exec.Cmd
	done chan struct{}
	made bool // the accounts
	log  *os.File
}

// Collect says how a registry gives the space of deleted images back: a command while
// the server is stopped, or a start with a collector that does not wait for days.
type Collect struct {
	Offline []string `json:"offline,omitempty"`
	Eager   []string `json:"eager,omitempty"` // instead of Start
	Due     float64  `json:"due,omitempty"`   // seconds after the delete before the eager collector may act
}

// An Account is a login of the management API that nothing else uses.
type Account struct {
	Name     string     `json:"name"`
	User     string     `json:"user"`
	Password string     `json:"password"`
	Create   [][]string `json:"create,omitempty"` // commands that make it
}

// Scale bounds the large data sets, for registries that take hours to fill. 0 leaves the set out.
type Scale struct {
	Tags         int `json:"tags"`
	Repositories int `json:"repositories"`
}

// Load reads a targets file and keeps those named in the comma-separated list, in its
// order; all if it is empty. bin replaces {{BIN}}.
func Load(path, names, bin string) ([]*Target, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var all []*Target
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if names == "" {
		for _, t := range all {
			names += "," + t.Name
		}
		names = strings.TrimPrefix(names, ",")
	}
	var kept []*Target
	for name := range strings.SplitSeq(names, ",") {
		t := find(all, name)
		if t == nil {
			return nil, fmt.Errorf("%s names no target %q", path, name)
		}
		if err := t.expand(bin); err != nil {
			return nil, err
		}
		kept = append(kept, t)
	}
	return kept, nil
}

func find(all []*Target, name string) *Target {
	for _, t := range all {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (t *Target) expand(bin string) error {
	u, err := url.Parse(t.URL)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Name, err)
	}
	if t.Owned() && !strings.HasPrefix(filepath.Base(t.Root), "bench-") {
		return fmt.Errorf("%s: the name of root %q must start with bench-, because it is wiped", t.Name, t.Root)
	}
	if t.Peer != nil {
		if err := t.Peer.expand(bin); err != nil {
			return err
		}
	}
	known := map[string]string{"ROOT": t.Root, "ADDR": u.Host, "PORT": u.Port(), "BIN": bin}
	var missing error
	text := func(s *string) {
		var out strings.Builder
		rest := *s
		for {
			before, after, found := strings.Cut(rest, "{{")
			out.WriteString(before)
			if !found {
				break
			}
			name, tail, _ := strings.Cut(after, "}}")
			value, ok := known[name]
			if !ok {
				if value, ok = os.LookupEnv(name); !ok {
					missing = fmt.Errorf("%s: set %s in the environment", t.Name, name)
				}
			}
			out.WriteString(value)
			rest = tail
		}
		*s = out.String()
	}
	list := func(l []string) {
		for i := range l {
			text(&l[i])
		}
	}
	table := func(m map[string]string) {
		for k, v := range m {
			text(&v)
			m[k] = v
		}
	}
	text(&t.Storage)
	if t.Storage == "" {
		t.Storage = t.Root
	}
	table(t.Files)
	table(t.Env)
	for _, l := range append([][]string{t.Start, t.Collect.Offline, t.Collect.Eager}, append(append(t.Init, t.Join...), append(t.Setup, t.creates()...)...)...) {
		list(l)
	}
	return missing
}

// Owned reports whether the driver starts and stops this registry.
func (t *Target) Owned() bool { return len(t.Start) > 0 }

// Endpoint is the address and the credentials for a client.
func (t *Target) Endpoint() (*raw.Endpoint, error) {
	e, err := raw.NewEndpoint(t.URL, t.User, t.Password)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	e.Basic = t.Basic
	return e, nil
}

// PID is the process of an owned, running target, else 0.
func (t *Target) PID() int {
	if t.cmd == nil {
		return 0
	}
	return t.cmd.Process.Pid
}

const (
	startLimit = 3 * time.Minute
	stopLimit  = 20 * time.Second
	setupLimit = time.Minute
)

// creates are the commands that make the accounts.
func (t *Target) creates() (all [][]string) {
	for _, a := range t.Accounts {
		all = append(all, a.Create...)
	}
	return all
}

// MakeAccounts makes the accounts, once for each start on an empty directory.
func (t *Target) MakeAccounts() error {
	if t.made {
		return nil
	}
	err := t.commands(t.creates())
	t.made = err == nil
	return err
}
