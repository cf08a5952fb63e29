// Package registry is the heart of Berth: organizations, repositories, tags
// and their history, push and pull, and the collection of what nobody needs.
//
// Every method takes the caller and decides, with the rows it works on, whether
// the caller may. HTTP lives elsewhere; storage and SQL stay in here.
package registry

import (
	"context"
	"log/slog"
	"time"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/db"
	"berth.dev/berth/internal/event"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/oci"
	"berth.dev/berth/internal/retention"
)

// Options are the rules an operator can change.
type Options struct {
	Grace         time.Duration // how long something unreferenced is kept before it is reviewed; default 24 h
	Undelete      time.Duration // how long a deleted manifest can come back; default 7 days
	KeepUntagged  bool          // a manifest that lost its last tag stays until it is deleted by its digest
	UploadLife    time.Duration // how long an upload may stay idle; default 24 h
	SweepEvery    time.Duration // pause of the collector when nothing is due; default 1 min
	CreateOnPush  bool          // a push creates the organization too, where the caller may create one
	OrgsPerOwner  int           // organizations of one account; 0: no limit. Berth itself and its operator are not bound by it
	ReposPerOwner int           // repositories of one account; 0: no limit. Its operator is not bound by it; what Berth copies for an account is
	TagsPerRepo   int           // 0: no limit
	MaxShares     int           // rules by which one repository is shared; 0: no limit
	ShareUnknown  bool          // a repository may be shared with an account that does not exist yet
	OpenUploads   int           // unfinished uploads of one user or key; default 1000
	ArchiveMax    int64         // bytes of an uploaded archive; default 10 GiB
	ChartMax      int64         // bytes of a chart; default 20 MiB
	MaxGroups     int           // chart groups of one account; 0: no limit
	CacheBytes    int64         // memory for manifests that are read often; default 32 MiB
	MaxDeliveries int           // that wait for one webhook: beyond it the oldest are given up; default 10,000
	Retention     retention.Limits
	CheckURL      func(string) error // whether an address may be called; a fault says why not. nil: every one may
	Jobs          *job.Queue         // that rules put their work into; nil: one that nobody runs
	Log           *slog.Logger
}

// Registry is safe for use by many goroutines.
type Registry struct {
	db    *db.DB
	iam   *iam.Authority
	blobs *blob.Store
	o     Options
	log   *slog.Logger

	start      string // names this start of the process in upload rows
	cache      *cache
	uploads    *leases
	ids        *uploadIDs
	keys       *keys
	pulls      *pulls
	archives   *unpackers
	jobs       *job.Queue
	outbox     outbox
	simulating chan struct{}        // one for each simulation of retention that runs
	touched    touches[int64]       // repositories
	renewed    touches[manifestKey] // tags
	collector  collectorState
}

// New assembles a registry. Run must be called for collection and for the
// counting of pulls.
func New(d *db.DB, a *iam.Authority, s *blob.Store, o Options) *Registry {
	def := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Grace, 24*time.Hour)
	def(&o.Undelete, 7*24*time.Hour)
	def(&o.UploadLife, 24*time.Hour)
	def(&o.SweepEvery, time.Minute)
	if o.OpenUploads == 0 {
		o.OpenUploads = 1000
	}
	if o.ArchiveMax == 0 {
		o.ArchiveMax = 10 << 30
	}
	if o.ChartMax == 0 {
		o.ChartMax = 20 << 20
	}
	if o.MaxDeliveries == 0 {
		o.MaxDeliveries = 10_000
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 32 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jobs == nil {
		o.Jobs = job.NewQueue(d, o.Log)
	}
	r := &Registry{db: d, iam: a, blobs: s, o: o, log: o.Log,
		start:   newNonce(),
		cache:   newCache(o.CacheBytes),
		uploads: newLeases(),
		ids:     newUploadIDs(),
		keys:    newKeys(d, o.UploadLife),
		pulls:   newPulls(),

		archives:   newUnpackers(),
		jobs:       o.Jobs,
		outbox:     outbox{wake: make(chan struct{}, 1)},
		simulating: make(chan struct{}, simulatesAtOnce),
	}
	r.collector.wake = make(chan struct{}, 1)
	d.OnInvalidate(r.cache.invalidate)
	return r
}

// Page is one page of a list; More says that another follows it.
type Page[T any] struct {
	Items []T
	More  bool
}

// page cuts rows fetched with LIMIT n+1 to n.
func page[T any](rows []T, n int) Page[T] {
	if len(rows) > n {
		return Page[T]{Items: rows[:n], More: true}
	}
	return Page[T]{Items: rows}
}

// MaxPage bounds every list: a caller that asks for more gets a page of it.
const MaxPage = 10000

func clampPage(n int) int { return min(max(n, 0), MaxPage) }

// resource names a repository to iam.
func resource(rp *repoRow) iam.Resource {
	return iam.Resource{Account: rp.Account, Organization: rp.Organization, Repository: rp.ID, Public: rp.Public, Shared: rp.Shared, Name: rp.Path}
}

// A repoRow is what push and pull need of a repository.
type repoRow struct {
	ID           int64
	Organization int64
	Account      string
	Path         string
	Public       bool // by itself or by its organization
	Shared       bool // by some rule
	Watched      event.Kind
	Chart        bool   // it is in a chart group
	Undelete     *int64 // seconds, as the account chose
}

// What somebody waits for stands with the repository and with its organization.
const repoColumns = `id, organization, account, path,
	public OR coalesce((SELECT o.public FROM organization o WHERE o.id = repository.organization), false), shares > 0,
	watched | coalesce((SELECT o.watched FROM organization o WHERE o.id = repository.organization), 0), chart,
	(SELECT a.undelete FROM account a WHERE a.id = repository.account)`

func repoByPath(ctx context.Context, q db.Querier, name oci.Name) (repoRow, error) {
	return db.One[repoRow](ctx, q, `SELECT `+repoColumns+` FROM repository WHERE path = $1`, string(name))
}

// Stats are figures of the moment, for metrics.
type Stats struct {
	Uploads      int // being worked on
	CacheEntries int
	CacheBytes   int
	CacheHits    int64 // since the start
	CacheMisses  int64
}

// Stats returns the figures of this moment.
func (r *Registry) Stats() Stats {
	s := r.cache.stats()
	s.Uploads = r.uploads.held()
	return s
}
