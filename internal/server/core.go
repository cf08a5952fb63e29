package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"

	"berth.dev/berth/internal/blob"
	"berth.dev/berth/internal/blob/fsblob"
	"berth.dev/berth/internal/chart"
	"berth.dev/berth/internal/db"
	outbound "berth.dev/berth/internal/dial"
	"berth.dev/berth/internal/fault"
	"berth.dev/berth/internal/iam"
	"berth.dev/berth/internal/job"
	"berth.dev/berth/internal/mirror"
	"berth.dev/berth/internal/registry"
	"berth.dev/berth/internal/retention"
	"berth.dev/berth/internal/trigger"
	"berth.dev/berth/internal/webhook"
)

// A core is a registry without its HTTP surfaces: what the server and a
// command without a server have in common.
type core struct {
	db       *db.DB
	iam      *iam.Authority
	disk     *fsblob.Driver
	blobs    *blob.Store
	jobs     *job.Queue
	dialer   *outbound.Dialer // to targets that users choose
	registry *registry.Registry
	mirror   *mirror.Mirror
	triggers *trigger.Triggers
	charts   *chart.Charts
	region   string
	address  string // by which clients reach the registry
}

// openCore opens database and storage under an existing data directory.
func openCore(ctx context.Context, cfg *Config, log *slog.Logger) (_ *core, err error) {
	c := &core{region: cfg.Region, address: publicURL(cfg, cfg.Listen)}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	master, err := loadMasterKey(cfg)
	if err != nil {
		return nil, err
	}
	sealed := false // the database may hold what the master key sealed
	defer func() {
		if err != nil && !sealed {
			master.discard()
		}
	}()
	if c.db, err = db.Open(ctx, cfg.DatabaseURL(), db.Options{Log: log}); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	if c.iam, err = iam.New(ctx, c.db, iam.Options{
		Master: master.bytes, Region: cfg.Region, TokenLife: cfg.Tokens.Life, APITokenLife: cfg.Tokens.ManagementLife,
		RefuseReplay: cfg.Signatures.RefuseReplay, UsersCreate: cfg.Organizations.UsersCreate,
		CredentialMaxLife: cfg.Credentials.MaxLife, CredentialUnlimited: cfg.Credentials.AllowUnlimited, Log: log,
	}); err != nil {
		other := errors.Is(err, iam.ErrOtherMaster)
		sealed = !other && !errors.Is(err, iam.ErrNotBegun)
		if other && master.fresh {
			return nil, fmt.Errorf("master key: %s is missing, and the database was made with it: put the file back: %w", master.from, err)
		}
		return nil, fmt.Errorf("master key from %s: %w", master.from, err)
	}
	sealed = true
	if c.disk, err = fsblob.Open(filepath.Join(cfg.Data, blobsName), fsblob.Options{}); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	c.blobs = blob.New(c.disk, blob.Options{
		Buffers: int(cfg.Limits.UploadMemory / blob.BufferSize),
		Space:   c.disk.Space,
		Reserve: blob.Reserve{Bytes: int64(cfg.Storage.ReserveBytes), Percent: cfg.Storage.ReservePercent},
	})
	c.jobs = job.NewQueue(c.db, log)
	c.dialer = outbound.New(outbound.Rules{Allow: cfg.Outbound.Allow, Deny: cfg.Outbound.Deny})
	c.registry = registry.New(c.db, c.iam, c.blobs, registry.Options{
		// The registry takes zero for its own default; here it means at once.
		Grace:         max(cfg.Collection.Grace, 1),
		Undelete:      max(cfg.Collection.Undelete, 1),
		KeepUntagged:  cfg.Collection.KeepUntagged,
		SweepEvery:    cfg.Collection.Sweep,
		UploadLife:    cfg.Uploads.Life,
		OpenUploads:   cfg.Uploads.Open,
		ArchiveMax:    int64(cfg.Archives.MaxSize),
		ChartMax:      int64(cfg.Charts.MaxSize),
		MaxGroups:     cfg.Charts.PerAccount,
		CreateOnPush:  cfg.Organizations.CreateOnPush,
		OrgsPerOwner:  cfg.Organizations.PerAccount,
		ReposPerOwner: cfg.Quotas.Repositories,
		TagsPerRepo:   cfg.Quotas.Tags,
		MaxShares:     cfg.Quotas.Shares,
		ShareUnknown:  cfg.Sharing.AllowUnknownTargets,
		CacheBytes:    int64(cfg.Limits.CacheMemory),
		Retention:     retention.Limits{Days: cfg.Retention.Days, Num: cfg.Retention.Num},
		CheckURL: func(raw string) error {
			_, err := c.dialer.CheckURL(raw)
			return err
		},
		Jobs: c.jobs,
		Log:  log,
	})
	c.mirror = mirror.New(c.registry, mirror.Options{Transport: c.dialer.Transport, Log: log})
	c.triggers = trigger.New(c.db, c.iam, c.registry, trigger.Options{
		Dialer: c.dialer, Host: hostOf(cfg.ExternalURL), Insecure: cfg.Triggers.InsecureTLS,
		Deadline: cfg.Triggers.Deadline, Log: log,
	})
	c.jobs.Register(c.registry.Kinds()...)
	c.jobs.Register(c.triggers.Kinds()...)
	c.jobs.Register(c.mirror.Kinds()...)
	c.jobs.Register(webhook.New(c.registry, webhook.Options{Transport: c.dialer.Transport, Log: log}).Kinds()...)
	c.charts = chart.New(c.registry, chart.Options{CacheBytes: int64(cfg.Charts.CacheMemory), Dialer: c.dialer, Log: log})
	c.jobs.Register(c.charts.Kinds()...)
	return c, nil
}

// close ends what was opened, the last first. The registry's own goroutines
// end with the context of its Run.
func (c *core) close() error {
	var errs []error
	if c.disk != nil {
		errs = append(errs, c.disk.Close())
	}
	if c.iam != nil {
		errs = append(errs, c.iam.Close())
	}
	if c.db != nil {
		errs = append(errs, c.db.Close())
	}
	return errors.Join(errs...)
}

// A firstStart is what the owner of a new installation must be told once.
type firstStart struct {
	password     string // of the administrator; empty where the owner chose it
	organization string // made to push to; empty: none
}

// firstOrg is the first organization, called like its owner.
const firstOrg = iam.FirstName

// bootstrap makes the first account with its administrator where there is
// none yet; nil: there was one. A start whose password was chosen is an
// automated one and gets nothing it did not ask for; one by hand also gets an
// organization, so that a push works at once.
func (c *core) bootstrap(ctx context.Context, password string) (*firstStart, error) {
	created, generated, err := c.iam.Bootstrap(ctx, password)
	if err != nil {
		if fault.Is(err, fault.Invalid) {
			return nil, fmt.Errorf("%s: %w", envAdminPassword, err)
		}
		return nil, fmt.Errorf("first account: %w", err)
	}
	if !created {
		return nil, nil
	}
	first := &firstStart{password: generated}
	if generated == "" {
		return first, nil
	}
	who, err := c.iam.Password(ctx, iam.FirstName, generated, "")
	if err != nil {
		return first, fmt.Errorf("first account: %w", err)
	}
	if _, err := c.registry.CreateOrg(ctx, who, firstOrg); err != nil {
		return first, fmt.Errorf("first organization: %w", err)
	}
	first.organization = firstOrg
	return first, nil
}

// hostOf is the host of an address, by which images are named; empty of none.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
