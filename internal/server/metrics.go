package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// figure is one number that is read when it is asked for.
type figure struct {
	name, help string
	counter    bool
	value      func(*core) float64
}

// figures are all numbers besides those of HTTP, Go and the process.
var figures = []figure{
	{"berth_db_commits_total", "Transactions committed.", true, func(c *core) float64 { return float64(c.db.Stats().Commits) }},
	{"berth_db_closures_total", "Changes run in transactions; several share a commit.", true, func(c *core) float64 { return float64(c.db.Stats().Closures) }},
	{"berth_db_statements_total", "Statements run.", true, func(c *core) float64 { return float64(c.db.Stats().Statements) }},
	{"berth_db_retries_total", "Changes run again after a conflict or a failed group.", true, func(c *core) float64 { return float64(c.db.Stats().Retries) }},
	{"berth_db_failures_total", "Commits that failed and connections that were lost.", true, func(c *core) float64 { return float64(c.db.Stats().Failures) }},
	{"berth_db_queue", "Changes that wait.", false, func(c *core) float64 { return float64(c.db.Stats().Queue) }},

	{"berth_storage_syncs_total", "Files and directories of the blob storage synced.", true, func(c *core) float64 { return float64(c.disk.Syncs()) }},

	{"berth_login_hashes_total", "Runs of the password hash.", true, func(c *core) float64 { return float64(c.iam.Stats().Hashes) }},
	{"berth_login_waiting", "Logins that wait for a core.", false, func(c *core) float64 { return float64(c.iam.Stats().Waiting) }},
	{"berth_login_refused_total", "Logins with a wrong credential.", true, func(c *core) float64 { return float64(c.iam.Stats().Refused) }},
	{"berth_audit_lost_total", "Denials that are missing in the audit because there were too many.", true, func(c *core) float64 { return float64(c.iam.Stats().DenialsLost) }},
	{"berth_cache_rights_entries", "Entries of the cache of rights.", false, func(c *core) float64 { return float64(c.iam.Stats().Standings) }},
	{"berth_cache_tokens_entries", "Entries of the cache of tokens.", false, func(c *core) float64 { return float64(c.iam.Stats().Tokens) }},
	{"berth_cache_logins_entries", "Entries of the cache of logins.", false, func(c *core) float64 { return float64(c.iam.Stats().VerifiedLogins) }},

	{"berth_cache_content_entries", "Entries of the cache of repositories, manifests and blobs.", false, func(c *core) float64 { return float64(c.registry.Stats().CacheEntries) }},
	{"berth_cache_content_bytes", "Memory of that cache.", false, func(c *core) float64 { return float64(c.registry.Stats().CacheBytes) }},
	{"berth_cache_content_hits_total", "Reads that it answered.", true, func(c *core) float64 { return float64(c.registry.Stats().CacheHits) }},
	{"berth_cache_content_misses_total", "Reads that went on to the database.", true, func(c *core) float64 { return float64(c.registry.Stats().CacheMisses) }},
	{"berth_uploads_active", "Uploads that a request works on.", false, func(c *core) float64 { return float64(c.registry.Stats().Uploads) }},

	{"berth_job_attempts_total", "Attempts at jobs.", true, func(c *core) float64 { return float64(c.jobs.Stats().Attempts) }},
	{"berth_job_failures_total", "Attempts that failed.", true, func(c *core) float64 { return float64(c.jobs.Stats().Failures) }},
	{"berth_jobs_dead_total", "Jobs that failed for good.", true, func(c *core) float64 { return float64(c.jobs.Stats().Dead) }},

	{"berth_collector_reviews_total", "Things looked at because nothing may need them any more.", true, func(c *core) float64 { return float64(c.registry.CollectorStats().Reviews) }},
	{"berth_collector_manifests_total", "Manifests removed after their undelete window.", true, func(c *core) float64 { return float64(c.registry.CollectorStats().Manifests) }},
	{"berth_collector_blobs_total", "Blobs that no repository needed.", true, func(c *core) float64 { return float64(c.registry.CollectorStats().Blobs) }},
	{"berth_collector_keys_total", "Keys deleted from storage.", true, func(c *core) float64 { return float64(c.registry.CollectorStats().Keys) }},
	{"berth_collector_failures_total", "Rounds of the collector that failed and were tried again.", true, func(c *core) float64 { return float64(c.registry.CollectorStats().Failures) }},
}

// register adds everything that /metrics shows besides the HTTP figures.
func register(to *prometheus.Registry, c *core) error {
	all := []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	for _, f := range figures {
		value := func() float64 { return f.value(c) }
		if f.counter {
			all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: f.name, Help: f.help}, value))
		} else {
			all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: f.name, Help: f.help}, value))
		}
	}
	all = append(all, &queueFigures{c: c})
	for _, one := range all {
		if err := to.Register(one); err != nil {
			return err
		}
	}
	return nil
}
