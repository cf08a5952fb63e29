// Package mirror copies images to registries elsewhere, by the rules and at
// the wish of people. It reads from the registry's core and speaks the
// distribution API to the other side.
//
// Whatever it does can be done again: what is there already is found and left.
package mirror

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/registry"
)

// Options are what a Mirror shares with the rest of the server.
type Options struct {
	// Transport makes the connections to one region. It refuses addresses that
	// nobody may connect to. nil: to any.
	Transport func(*tls.Config) *http.Transport
	Log       *slog.Logger
	Chunk     int64                           // bytes that a large blob is sent in; default 32 MiB
	Large     int64                           // bytes from which a blob is sent in chunks; default 16 MiB
	Pause     func(attempt int) time.Duration // before a tag is tried again; default 2 s to 10 min
	Look      time.Duration                   // for a look at the other side while somebody waits; default 10 s
}

// A Mirror is safe for use by many goroutines.
type Mirror struct {
	reg *registry.Registry
	o   Options

	mu      sync.Mutex
	targets map[string]*target // by the name of the region
}

// me is who reads the images.
var me = iam.System("sync")

// How jobs are run.
const (
	workers    = 8             // tags at once
	perAccount = 6             // of them: others have room beside one whose targets are slow
	attempt    = 6 * time.Hour // for one tag
	giveUp     = 7 * 24 * time.Hour
	firstPause = 2 * time.Second
	longPause  = 10 * time.Minute
)

// New assembles a mirror. Its kinds of jobs are to be registered.
func New(r *registry.Registry, o Options) *Mirror {
	o.Chunk = cmp.Or(o.Chunk, 32<<20)
	o.Look = cmp.Or(o.Look, 10*time.Second)
	o.Large = cmp.Or(o.Large, 16<<20)
	if o.Transport == nil {
		o.Transport = func(c *tls.Config) *http.Transport {
			return &http.Transport{TLSClientConfig: c, ResponseHeaderTimeout: 5 * time.Minute, IdleConnTimeout: 90 * time.Second}
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pause == nil {
		o.Pause = job.Backoff(firstPause, longPause)
	}
	return &Mirror{reg: r, o: o, targets: map[string]*target{}}
}

// Kinds are the jobs that copy and compare.
func (m *Mirror) Kinds() []job.Kind {
	return []job.Kind{
		{Name: registry.SyncKind, Workers: workers, PerAccount: perAccount, Timeout: attempt, GiveUp: giveUp, Pause: m.o.Pause, Run: m.copyTag, Changed: m.reg.SyncChanged},
		{Name: registry.CompareKind, Workers: 2, PerAccount: 1, Timeout: attempt, Attempts: 20, Pause: m.o.Pause, Run: m.compare, Changed: m.reg.CompareChanged},
	}
}

// CreateSync stores a synchronization, once the other side has shown that it
// would take images: that it answers, that the login is good, that the
// organization is there. Errors: as registry.CreateSync; Invalid says what is
// wrong on the other side.
func (m *Mirror) CreateSync(ctx context.Context, who iam.Caller, name oci.Name, s registry.Sync) error {
	if err := m.reg.CheckSync(ctx, who, name, s); err != nil {
		return err
	}
	t, err := m.target(ctx, s.Region)
	if err != nil {
		return err
	}
	if !t.region.Optional {
		if err := t.check(ctx, t.path(s.Organization, name)); err != nil {
			return fault.Wrap(fault.Invalid, err, "remoteRegionId and remoteNamespace: the region %s does not take images for the organization %s: %s.", s.Region, s.Organization, reason(err))
		}
	}
	return m.reg.CreateSync(ctx, who, name, s)
}

// CheckRegion connects to a region and logs in. With an organization it also
// asks whether the region would take images for it. Errors: RuleUnknown,
// Denied, Unauthorized; Invalid says what is wrong on the other side.
func (m *Mirror) CheckRegion(ctx context.Context, who iam.Caller, name, organization string) error {
	if _, err := m.reg.Region(ctx, who, name); err != nil {
		return err
	}
	t, err := m.target(ctx, name)
	if err != nil {
		return err
	}
	if organization == "" {
		err = t.ping(ctx)
	} else if _, err = oci.ParseOrganization(organization); err != nil && !fault.Is(err, fault.Reserved) {
		return err
	} else {
		err = t.check(ctx, t.path(organization, "x/check"))
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The region %s is of no use as it is: %s.", name, reason(err))
	}
	return nil
}
